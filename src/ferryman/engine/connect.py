"""Connect (RFC 6062 §5.2): a TCP connection from the relayed address to a peer.

The one request whose answer does not come at once: it waits for the peer, 30 seconds at most.
"""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import CloseConnection, Connect
from ferryman.engine.five_tuple import Transport
from ferryman.engine.peer import relayed_only
from ferryman.engine.peer_connection import PeerConnection, Stage, Unanswered
from ferryman.engine.peer_connection_ending import answer_failure
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.reply import reply
from ferryman.engine.state import Exchange, Outcome, State
from ferryman.wire.address import Address
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import decode_xor_address_untrusted


def connect(state: State, exchange: Exchange) -> None:
    """Start connecting; `connected` answers. Raises Refused or Malformed."""
    allocation = exchange.allocation_in(state)
    if allocation.transport is not Transport.TCP:
        raise Refused(Refusal.CONNECT_FROM_UDP)
    peer = _peer(exchange.message)
    if state.peer_connections.reaches(allocation, peer):
        raise Refused(Refusal.CONNECTION_EXISTS, str(peer))
    inside = _inside(state, allocation, peer, now=exchange.now)
    if not state.peer_connections.has_room(allocation):
        raise Refused(Refusal.TOO_MANY_CONNECTIONS)
    connection = PeerConnection(
        state.peer_connections.new_number(),
        state.peer_connections.new_id(state.random_token),
        allocation,
        peer,
        Stage.CONNECTING,
        _unanswered(state, exchange),
    )
    state.peer_connections.add(connection, now=exchange.now)
    exchange.outcome.changes.append(Connect(connection.number, allocation.number, peer, inside))


def connected(state: State, number: int, *, succeeded: bool, now: int) -> Outcome:
    """The peer has answered, or cannot be reached: the answer to the Connect request."""
    outcome = Outcome()
    connection = state.peer_connections.numbered(number)
    if connection is None or connection.unanswered is None:
        # Given up in the meantime: whatever the datapath holds is nobody's.
        outcome.changes.append(CloseConnection(number))
        return outcome
    if not succeeded:
        state.peer_connections.remove(connection)
        answer_failure(state, connection, outcome)
        return outcome
    unanswered = connection.unanswered
    state.peer_connections.established(connection, now=now)
    outcome.changes.append(
        reply(
            unanswered.five_tuple,
            MessageClass.SUCCESS,
            Method.CONNECT,
            unanswered.transaction_id,
            ((Attribute.CONNECTION_ID, connection.connection_id),),
            key=unanswered.key,
            sha256=unanswered.sha256,
            software=state.settings.software,
            fingerprint=unanswered.fingerprint,
        )
    )
    return outcome


def _peer(message: Message) -> Address:
    value = message.first(Attribute.XOR_PEER_ADDRESS)
    if value is None:
        raise Refused(Refusal.CONNECT_TO_NOBODY)
    peer = decode_xor_address_untrusted(value, message.transaction_id)
    if peer.port == 0:
        raise Refused(Refusal.CONNECT_TO_PORT_0, str(peer))
    return peer


def _inside(state: State, allocation: Allocation, peer: Address, *, now: int) -> bool:
    """As `relayed_only`; what no rule refuses may still be the allocation's own address."""
    if any(peer in (lease.bound, lease.advertised) for lease in allocation.leases):
        raise Refused(Refusal.FORBIDDEN_PEER, f"{peer} is the allocation's own relayed address")
    return relayed_only(state, allocation, peer, now=now)


def _unanswered(state: State, exchange: Exchange) -> Unanswered:
    message = exchange.message
    return Unanswered(
        exchange.five_tuple,
        message.transaction_id,
        exchange.credential.username,
        state.settings.fingerprint or message.has_fingerprint,
        exchange.sha256,
        exchange.key,
    )
