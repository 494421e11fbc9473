"""Channels that the kernel forwards (`xdp`): on which interfaces, and what the log says of it.

Where it cannot be had, the server forwards everything itself, as it does without.
"""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ferryman.app.own_addresses import WILDCARDS
from ferryman.config import Configuration
from ferryman.config.kinds import AUTO
from ferryman.datapath import _native
from ferryman.server import settings as server_settings
from ferryman.server.own_addresses import interfaces_of, primary_address
from ferryman.wire.address import Family

_ALL = ("driver", "tc", "generic")
_AUTOMATIC = _ALL[:2]
"""Nobody asked for the one that may be slower than the server itself."""


def offload_channels(
    datapath: _native.Datapath,
    configuration: Configuration,
    settings: server_settings.Settings,
    log: FilteringBoundLogger,
) -> None:
    """Once, before anybody is served."""
    is_automatic = configuration.offload == (AUTO,)
    names = reached_through(settings) if is_automatic else configuration.offload
    if not names:
        return
    mode = configuration.offload_mode
    modes = (mode,) if mode != AUTO else _AUTOMATIC if is_automatic else _ALL
    try:
        taken, instead = datapath.offload(names, modes)
    except ValueError as error:
        log.warning("xdp: channels are not forwarded in the kernel", reason=str(error))
        return
    said = {"interfaces": ",".join(names), "mode": taken}
    if instead:
        said["because"] = instead
    log.info("xdp: channels are forwarded in the kernel", **said)


def reached_through(settings: server_settings.Settings) -> tuple[str, ...]:
    """The interfaces of the addresses that the server listens on and relays from; in place of a
    wildcard, those that lead to the world."""
    ips = {listener.address.ip for listener in settings.listeners} | set(settings.relay_ips)
    if not ips.isdisjoint(WILDCARDS):
        ips |= {ip for ip in map(primary_address, Family) if ip is not None}
    return interfaces_of(ips)
