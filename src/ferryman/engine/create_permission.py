"""CreatePermission (RFC 8656 §10.2): permissions for one or more peers, all or none."""

from __future__ import annotations

from ferryman.engine.changes import Permit
from ferryman.engine.journal import Permitted
from ferryman.engine.peer import relayed_only
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.settings import SECOND
from ferryman.engine.state import Exchange, State
from ferryman.wire.address import Address
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_xor_address_untrusted


def create_permission(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response (none); raises Refused or Malformed."""
    allocation = exchange.allocation_in(state)
    peers = _peers(exchange.message)
    now = exchange.now
    restricted = {peer.ip: relayed_only(state, allocation, peer, now=now) for peer in peers}
    allocation.permissions.check(set(restricted), now=now)
    expires_at = now + state.settings.permission_lifetime * SECOND
    for peer_ip, inside in restricted.items():
        allocation.permissions.install(peer_ip, expires_at=expires_at)
        exchange.outcome.changes.append(Permit(allocation.number, peer_ip, inside, expires_at))
    exchange.outcome.journal.append(
        Permitted(allocation.five_tuple, allocation.number, allocation.username, peers)
    )
    return ()


def _peers(message: Message) -> tuple[Address, ...]:
    values = message.all(Attribute.XOR_PEER_ADDRESS)
    if not values:
        raise Refused(Refusal.NO_PEER)
    return tuple(decode_xor_address_untrusted(value, message.transaction_id) for value in values)
