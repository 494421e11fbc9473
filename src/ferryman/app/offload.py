"""Channels that the kernel forwards (`xdp`): on which interfaces, and what the log says of it.

Where it cannot be had, the server forwards everything itself, as it does without.
"""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ferryman.app.own_addresses import WILDCARDS
from ferryman.config.kinds import AUTO
from ferryman.datapath import _native
from ferryman.server import settings as server_settings
from ferryman.server.own_addresses import interfaces_of, primary_address
from ferryman.wire.address import Family


def offload_channels(
    datapath: _native.Datapath,
    wanted: tuple[str, ...],
    settings: server_settings.Settings,
    log: FilteringBoundLogger,
) -> None:
    """`wanted`: names of interfaces, `auto` alone, or nothing."""
    is_automatic = wanted == (AUTO,)
    names = reached_through(settings) if is_automatic else wanted
    if not names:
        return
    try:
        mode = datapath.offload(names, driver_only=is_automatic)
    except ValueError as error:
        log.warning("xdp: channels are not forwarded in the kernel", reason=str(error))
        return
    on = ",".join(names)
    log.info("xdp: channels are forwarded in the kernel", interfaces=on, mode=mode)


def reached_through(settings: server_settings.Settings) -> tuple[str, ...]:
    """The interfaces of the addresses that the server listens on and relays from; in place of a
    wildcard, those that lead to the world."""
    ips = {listener.address.ip for listener in settings.listeners} | set(settings.relay_ips)
    if not ips.isdisjoint(WILDCARDS):
        ips |= {ip for ip in map(primary_address, Family) if ip is not None}
    return interfaces_of(ips)
