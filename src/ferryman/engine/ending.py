"""How allocations end, or one of their two relayed addresses: by Refresh, by time, with the
client's connection, with the server.

An ended allocation is out of the table at once; its `Closed` entry waits for the usage that the
datapath counted.
"""

from __future__ import annotations

from ferryman.engine import handover
from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import CloseAllocation, CloseRelayed, Usage
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import Closed, Ending, RelayedClosed
from ferryman.engine.peer_connection_ending import close_connections, expire_connections
from ferryman.engine.settings import SECOND
from ferryman.engine.state import Closing, Outcome, State
from ferryman.wire.address import Family


def close(
    state: State, allocation: Allocation, ending: Ending, outcome: Outcome, *, now: int
) -> None:
    state.allocations.remove(allocation)
    close_connections(state, allocation, outcome)
    state.moving.remove(allocation.number)
    state.closing[allocation.number] = Closing(allocation, ending, now)
    outcome.changes.append(CloseAllocation(allocation.number))


def close_relayed(
    state: State,
    allocation: Allocation,
    family: Family,
    ending: Ending,
    outcome: Outcome,
) -> None:
    """End one of two relayed addresses, with its permissions and channels (RFC 8656 §8.1)."""
    lease = state.allocations.remove_relayed(allocation, family)
    state.closing_relayed[allocation.number, family] = lease
    outcome.changes.append(CloseRelayed(allocation.number, family))
    outcome.journal.append(
        RelayedClosed(
            allocation.five_tuple,
            allocation.number,
            allocation.username,
            lease.advertised,
            ending,
        )
    )


def expire(state: State, *, now: int) -> Outcome:
    """Take out all whose time has come: moves, allocations, reservations, remembered answers."""
    outcome = handover.time_out(state, now=now)
    for allocation in state.allocations.expired(now=now):
        if allocation.expires_at <= now:
            close(state, allocation, Ending.EXPIRED, outcome, now=now)
            continue
        for family in allocation.expired_families(now=now):
            close_relayed(state, allocation, family, Ending.EXPIRED, outcome)
    expire_connections(state, outcome, now=now)
    outcome.unclaimed += state.reservations.expire(now=now)
    state.answered.expire(now=now)
    return outcome


def disconnected(state: State, five_tuple: FiveTuple, *, now: int) -> Outcome:
    """The client's connection is gone, and its allocation with it (RFC 8656 §3.1)."""
    outcome = Outcome()
    allocation = state.allocations.of(five_tuple, now=now)
    if allocation is None:
        return outcome
    if allocation.mobile.is_mobile:
        handover.disconnect(state, allocation, five_tuple, outcome)
    else:
        close(state, allocation, Ending.DISCONNECTED, outcome, now=now)
    return outcome


def make_way(state: State, five_tuple: FiveTuple, outcome: Outcome, *, now: int) -> None:
    """Take out what has expired on a 5-tuple that is about to be used, and is still there."""
    expired = state.allocations.holding(five_tuple)
    if expired is None:
        return
    if expired.expires_at <= now:
        close(state, expired, Ending.EXPIRED, outcome, now=now)
    else:
        handover.give_up(state, expired, outcome)


def stop(state: State, *, now: int) -> Outcome:
    outcome = expire(state, now=now)
    for allocation in state.allocations:
        close(state, allocation, Ending.STOPPED, outcome, now=now)
    return outcome


def used(state: State, number: int, usage: Usage) -> Outcome:
    """The datapath has closed the allocation and tells what it carried; its port is free again."""
    closing = state.closing.pop(number, None)
    if closing is None:
        return Outcome()
    allocation = closing.allocation
    entry = Closed(
        allocation.five_tuple,
        number,
        allocation.username,
        allocation.advertised,
        closing.ending,
        (closing.closed_at - allocation.opened_at) // SECOND,
        usage,
    )
    return Outcome(journal=[entry], closed=allocation.leases)


def relayed_closed(state: State, number: int, family: Family) -> Outcome:
    """The datapath has closed one relayed address of an allocation; its port is free again."""
    lease = state.closing_relayed.pop((number, family), None)
    return Outcome() if lease is None else Outcome(closed=[lease])
