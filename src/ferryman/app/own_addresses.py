"""Which addresses are the server's own, so that peers among them are looked at twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from structlog.typing import FilteringBoundLogger

from ferryman.engine.state import State
from ferryman.server import settings as server_settings
from ferryman.server.own_addresses import can_have, interface_addresses
from ferryman.wire.address import Address

WILDCARDS = (bytes(4), bytes(16))


def own_addresses(settings: server_settings.Settings) -> frozenset[bytes]:
    listening = {listener.address.ip for listener in settings.listeners} - set(WILDCARDS)
    external = {*settings.external.values(), *settings.external_by_default}
    return interface_addresses() | listening | external | set(settings.relay_ips)


def foreign(relay_ips: Iterable[bytes]) -> tuple[str, ...]:
    """Those that this machine has not, so that nobody can relay from them."""
    return tuple(Address(ip, 0).host for ip in relay_ips if not can_have(ip))


def own_address_watch(
    state: State, settings: Callable[[], server_settings.Settings], log: FilteringBoundLogger
) -> Callable[[], None]:
    """A chore that keeps the peer rules true while the machine's addresses come and go. What open
    allocations are known by stays the server's own until they end."""

    def refresh() -> None:
        try:
            known = {to.ip for allocation in state.allocations for to in allocation.advertised}
            own = own_addresses(settings()) | known
        except OSError:
            return  # no descriptor left to ask with: what was true ten seconds ago will do
        if own != state.peer_rules.own:
            state.peer_rules = state.peer_rules.with_own(own)
            log.info("this machine's addresses have changed", count=len(own))

    return refresh
