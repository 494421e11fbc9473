"""How peer data connections end (RFC 6062 §5.2, §5.3, §5.5): by failing, by time, from either
side, with their allocation.
"""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import CloseConnection
from ferryman.engine.journal import ConnectionEnded, RefusedRequest
from ferryman.engine.peer_connection import PeerConnection, Stage
from ferryman.engine.refusals import Refusal
from ferryman.engine.reply import reply
from ferryman.engine.state import Outcome, State
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_error


def ended(state: State, number: int, *, sent_bytes: int, received_bytes: int) -> Outcome:
    """The datapath has closed both halves; the bytes are counted in the allocation's usage, too."""
    outcome = Outcome()
    connection = state.peer_connections.numbered(number)
    if connection is None:
        return outcome
    state.peer_connections.remove(connection)
    allocation = connection.allocation
    if connection.stage is Stage.BOUND:
        outcome.journal.append(
            ConnectionEnded(
                allocation.five_tuple,
                allocation.number,
                allocation.username,
                connection.peer,
                sent_bytes,
                received_bytes,
            )
        )
    return outcome


def expire_connections(state: State, outcome: Outcome, *, now: int) -> None:
    """Give up peers that do not answer, and connections that no client has bound."""
    for connection in state.peer_connections.overdue(now=now):
        outcome.changes.append(CloseConnection(connection.number))
        state.peer_connections.remove(connection)
        answer_failure(state, connection, outcome)


def close_connections(state: State, allocation: Allocation, outcome: Outcome) -> None:
    """The allocation ends; the datapath closes what it holds of it by itself."""
    for connection in state.peer_connections.of(allocation):
        state.peer_connections.remove(connection)
        answer_failure(state, connection, outcome)


def answer_failure(state: State, connection: PeerConnection, outcome: Outcome) -> None:
    """447 to the Connect request that waits for this connection, if one does."""
    unanswered = connection.unanswered
    if unanswered is None:
        return
    refusal = Refusal.CONNECTION_FAILED
    outcome.journal.append(
        RefusedRequest(
            unanswered.five_tuple,
            Method.CONNECT,
            unanswered.username,
            refusal,
            f"{connection.peer} cannot be reached",
        )
    )
    outcome.changes.append(
        reply(
            unanswered.five_tuple,
            MessageClass.ERROR,
            Method.CONNECT,
            unanswered.transaction_id,
            ((Attribute.ERROR_CODE, encode_error(refusal.code, refusal.reason)),),
            key=unanswered.key,
            sha256=unanswered.sha256,
            software=state.settings.software,
            fingerprint=unanswered.fingerprint,
        )
    )
