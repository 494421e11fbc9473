"""ConnectionBind (RFC 6062 §5.4): a connection of the client becomes the other half of a peer's.

After the success response the connection carries the peer's bytes as they are, and no STUN.
"""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import Join
from ferryman.engine.journal import ConnectionBound
from ferryman.engine.peer_connection import PeerConnection
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.state import Exchange, State
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_connection_id_untrusted


def connection_bind(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response (none); raises Refused or Malformed."""
    five_tuple = exchange.five_tuple
    if not five_tuple.transport.is_stream:
        raise Refused(Refusal.BIND_OVER_DATAGRAMS)
    if state.allocations.of(five_tuple, now=exchange.now) is not None:
        raise Refused(Refusal.BIND_ON_CONTROL)
    connection = _pending(state, exchange)
    state.peer_connections.bind(connection)
    exchange.outcome.changes.append(Join(connection.number, five_tuple))
    allocation = connection.allocation
    exchange.outcome.journal.append(
        ConnectionBound(five_tuple, allocation.number, allocation.username, connection.peer)
    )
    return ()


def _pending(state: State, exchange: Exchange) -> PeerConnection:
    """The connection that is meant; another user's is as unknown as one that is not there."""
    value = exchange.message.first(Attribute.CONNECTION_ID)
    if value is None:
        raise Refused(Refusal.NO_CONNECTION_ID)
    connection_id = decode_connection_id_untrusted(value)
    connection = state.peer_connections.pending(connection_id, now=exchange.now)
    if connection is None or not _is_owner(exchange, connection.allocation):
        raise Refused(Refusal.UNKNOWN_CONNECTION)
    return connection


def _is_owner(exchange: Exchange, allocation: Allocation) -> bool:
    """Whether the same credential opened the allocation (RFC 6062 §4.3); for an access token, which
    names no user, whether the same session key did."""
    if allocation.grant is not None:
        return exchange.credential.is_third_party and exchange.key in allocation.grant.keys
    return exchange.owns(allocation)
