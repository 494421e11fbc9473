"""A client on its way from one 5-tuple to another (RFC 8016 §3.2.2): both lead to its allocation
until it is heard on the new one, the old connection ends, or time runs out.

The datapath sees the traffic and says when the client has moved; here the engine's own table
follows. Knows no tickets and no requests.
"""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import LeavePath, MoveAllocation
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import Moved, MoveGivenUp, Moving
from ferryman.engine.settings import SECOND
from ferryman.engine.state import Outcome, State

HANDOVER = 30 * SECOND
"""How long two paths lead to an allocation; the RFC names no end but the client's own traffic."""


def begin(
    state: State,
    allocation: Allocation,
    path: FiveTuple,
    outcome: Outcome,
    *,
    ticket: int,
    now: int,
) -> None:
    """Open the path; one that the client was moving to until now is forgotten.

    `ticket` is the serial of the one that was shown; there is a fresh one after this.
    """
    mobile = allocation.mobile
    _forget(state, allocation, mobile.next_path)
    mobile.renew(ticket, path, until=now + HANDOVER)
    state.allocations.add_path(allocation, path)
    state.moving.add(allocation.number, until=mobile.until)
    outcome.changes.append(MoveAllocation(allocation.number, path, mobile.until))
    outcome.journal.append(
        Moving(path, allocation.number, allocation.username, allocation.five_tuple)
    )
    if not mobile.connected:
        finish(state, allocation, outcome)


def finish(state: State, allocation: Allocation, outcome: Outcome) -> None:
    """The path that the client had is over: it is on the other one."""
    path = allocation.mobile.next_path
    if path is not None:
        outcome.changes.append(LeavePath(allocation.number, allocation.five_tuple))
        arrive(state, allocation, path, outcome)


def give_up(state: State, allocation: Allocation, outcome: Outcome) -> None:
    """The client stays where it was. If the datapath has seen it move meanwhile, that counts."""
    mobile = allocation.mobile
    path, mobile.next_path, mobile.before_is_good = mobile.next_path, None, True
    state.moving.remove(allocation.number)
    if path is not None:
        _forget(state, allocation, path)
        outcome.changes.append(LeavePath(allocation.number, path))
        outcome.journal.append(MoveGivenUp(path, allocation.number, allocation.username))


def arrive(state: State, allocation: Allocation, path: FiveTuple, outcome: Outcome) -> None:
    """The client is on this path and on no other, but for one that it has begun to move to."""
    mobile = allocation.mobile
    left, allocation.five_tuple, mobile.connected = allocation.five_tuple, path, True
    if mobile.next_path in (path, None):
        mobile.next_path, mobile.before_is_good = None, False
        state.moving.remove(allocation.number)
    _forget(state, allocation, left)
    state.allocations.add_path(allocation, path)
    outcome.journal.append(Moved(path, allocation.number, allocation.username, left))


def disconnect(state: State, allocation: Allocation, path: FiveTuple, outcome: Outcome) -> None:
    """A connection of a mobile client has ended; its allocation lives on and counts on."""
    mobile = allocation.mobile
    if path == mobile.next_path:
        give_up(state, allocation, outcome)
    elif mobile.next_path is not None:
        finish(state, allocation, outcome)
    else:
        mobile.connected = False


def time_out(state: State, *, now: int) -> Outcome:
    """End the moves whose time is over."""
    outcome = Outcome()
    for number in state.moving.take_due(now=now):
        allocation = state.allocations.numbered(number)
        if allocation is not None:
            settle(state, allocation, outcome, now=now)
    return outcome


def settle(state: State, allocation: Allocation, outcome: Outcome, *, now: int) -> None:
    """End a move whose time is over: nobody was heard on the new path."""
    if now >= allocation.mobile.until:
        give_up(state, allocation, outcome)


def _forget(state: State, allocation: Allocation, path: FiveTuple | None) -> None:
    if path is not None:
        state.allocations.drop_path(allocation, path)
