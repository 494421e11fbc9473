"""ConnectionAttempt (RFC 6062 §5.3): a permitted peer has connected to a relayed address.

The datapath has accepted the connection and checked the permission; here the client is told.
"""

from __future__ import annotations

from ferryman.engine.changes import CloseConnection
from ferryman.engine.peer_connection import PeerConnection, Stage
from ferryman.engine.reply import reply
from ferryman.engine.state import Outcome, State
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_xor_address


def attempted(
    state: State, allocation_number: int, peer: Address, number: int, *, now: int
) -> Outcome:
    """Tell the client, who has 30 seconds to bind; without room the connection is closed."""
    outcome = Outcome()
    allocation = state.allocations.numbered(allocation_number)
    connections = state.peer_connections
    if (
        allocation is None
        or now >= allocation.expires_at
        or not connections.has_room(allocation)
        or connections.reaches(allocation, peer)
    ):
        outcome.changes.append(CloseConnection(number))
        return outcome
    connection_id = connections.new_id(state.random_token)
    connection = PeerConnection(number, connection_id, allocation, peer, Stage.PENDING)
    connections.add(connection, now=now)
    transaction_id = (state.random_token() + state.random_token())[-12:]
    outcome.changes.append(
        reply(
            allocation.five_tuple,
            MessageClass.INDICATION,
            Method.CONNECTION_ATTEMPT,
            transaction_id,
            (
                (Attribute.CONNECTION_ID, connection_id),
                (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)),
            ),
            fingerprint=state.settings.fingerprint,
        )
    )
    return outcome
