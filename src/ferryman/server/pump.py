"""The pump between the datapath and the engine: events in, decisions out, once a batch.

Decides nothing and forwards nothing: it finds what `decide` has to be handed (the key, a relay
port) and carries the outcome to the datapath, the journal's readers and the port stock.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from ferryman.auth.sources import Keys
from ferryman.datapath import door
from ferryman.datapath.door import (
    Arrived,
    Asked,
    BindingSeen,
    Closed,
    Connected,
    Disconnected,
    DropSeen,
    Ended,
    Event,
    Moved,
    Noticed,
    RelayedClosed,
)
from ferryman.engine.admission import Admitted, admit
from ferryman.engine.allocate import relay_needs
from ferryman.engine.changes import CloseAllocation
from ferryman.engine.connect import connected
from ferryman.engine.connection_attempt import attempted
from ferryman.engine.credential import ANONYMOUS, Credential, NoCredential
from ferryman.engine.decision import decide
from ferryman.engine.ending import disconnected, expire, relayed_closed, stop, used
from ferryman.engine.journal import BindingAnswered, PacketDropped
from ferryman.engine.mobility import moved
from ferryman.engine.peer_connection_ending import ended
from ferryman.engine.proof import Proved, prove
from ferryman.engine.refusals import Refusal
from ferryman.engine.relay import RelayLease
from ferryman.engine.settings import SECOND
from ferryman.engine.state import Outcome, State
from ferryman.server.journal_log import JournalLog
from ferryman.server.relay_ports import RelayPorts

BATCH = 64

FAULT_SECONDS = 60
"""How long a fault that comes back is not told again."""
NOBODY = 0
"""No allocation has this number, and the datapath tells of its end all the same."""


class Pump:
    """Runs on one thread; every method returns quickly and never waits."""

    def __init__(
        self,
        native: door.Native,
        state: State,
        keys: Keys,
        ports: RelayPorts,
        journal: JournalLog,
        log: FilteringBoundLogger,
    ) -> None:
        self._native = native
        self._state = state
        self._keys = keys
        self._ports = ports
        self._journal = journal
        self._log = log
        self._closing_down = False
        self._quiet_until = 0
        self._answered: Callable[[], None] = lambda: None

    def use_keys(self, keys: Keys) -> None:
        """Ask these from the next request on."""
        self._keys = keys

    def run_batch(self) -> int:
        """Deal with what the datapath has to tell; returns how many events there were."""
        now = time.monotonic_ns()
        unix_time = time.time()
        outcome = self._safely_expired(now=now)
        events = door.drain(self._native, BATCH)
        for event in events:
            outcome.add(self._safe_outcome(event, unix_time=unix_time, now=now))
        self._carry_out(outcome, now=now)
        return len(events)

    def tick(self) -> None:
        """Once a second: let expired allocations go and refill the stock of relay ports."""
        now = time.monotonic_ns()
        self._carry_out(self._safely_expired(now=now), now=now)
        if not self._state.draining:
            self._ports.top_up(now=now)
        trouble = self._ports.take_trouble()
        if trouble:
            self._log.error("relay sockets cannot be bound", reason=trouble)

    def ask_worker(self, answered: Callable[[], None]) -> None:
        """Have the worker thread answer, with nothing else in mind; `answered` is called when it
        has, and never if it is stuck."""
        self._answered = answered
        door.apply(self._native, [CloseAllocation(NOBODY)])

    def close_all(self) -> None:
        """Close every allocation and decide no more requests."""
        now = time.monotonic_ns()
        self._closing_down = True
        self._carry_out(stop(self._state, now=now), now=now)
        self._journal.tell_suppressed()

    @property
    def closing(self) -> int:
        """Allocations whose usage the datapath has not told yet."""
        return len(self._state.closing)

    def _safe_outcome(self, event: Event, *, unix_time: float, now: int) -> Outcome:
        """A fault of ours over one client's request must not take the others' calls with it."""
        try:
            return self._outcome(event, unix_time=unix_time, now=now)
        except Exception:
            five_tuple = getattr(event, "five_tuple", None)
            self._log.exception(
                "a request could not be decided; please report this",
                client=str(five_tuple.client) if five_tuple else "",
            )
            return Outcome()

    def _safely_expired(self, *, now: int) -> Outcome:
        """Nor must a fault over the end of one allocation; it is told once in a while."""
        try:
            return expire(self._state, now=now)
        except Exception:
            if now >= self._quiet_until:
                self._log.exception("what has run out could not be let go; please report this")
                self._quiet_until = now + FAULT_SECONDS * SECOND
            return Outcome()

    def _outcome(self, event: Event, *, unix_time: float, now: int) -> Outcome:
        match event:
            case Asked(five_tuple, packet):
                if self._closing_down:
                    return Outcome()
                admitted = admit(self._state, five_tuple, packet, now=now)
                if isinstance(admitted, Outcome):
                    return admitted
                return self._decide(admitted, unix_time=unix_time, now=now)
            case Closed(allocation) if allocation == NOBODY:
                self._answered()
                return Outcome()
            case Closed(allocation, usage):
                return used(self._state, allocation, usage)
            case RelayedClosed(allocation, family):
                return relayed_closed(self._state, allocation, family)
            case Disconnected(five_tuple):
                return disconnected(self._state, five_tuple, now=now)
            case Moved(allocation, five_tuple):
                return moved(self._state, allocation, five_tuple, now=now)
            case Connected(connection, succeeded):
                return connected(self._state, connection, succeeded=succeeded, now=now)
            case Arrived(allocation, peer, connection):
                return attempted(self._state, allocation, peer, connection, now=now)
            case Ended(connection, sent, received):
                return ended(self._state, connection, sent_bytes=sent, received_bytes=received)
            case Noticed(text):
                self._log.warning(text)
                return Outcome()
            case BindingSeen(five_tuple):
                return Outcome(journal=[BindingAnswered(five_tuple)])
            case DropSeen():
                return Outcome(journal=[PacketDropped(*event)])

    def _decide(self, admitted: Admitted, *, unix_time: float, now: int) -> Outcome:
        credential = self._resolve(admitted, unix_time=unix_time)
        proved = prove(self._state, admitted, credential, now=now)
        if isinstance(proved, Outcome):
            return proved
        leases: list[RelayLease | Refusal] = []
        taken: list[RelayLease] = []
        try:
            self._lease(proved, leases, now=now)
            outcome = decide(self._state, proved, tuple(leases), now=now)
            taken = outcome.taken
        finally:
            for lease in leases:
                if isinstance(lease, RelayLease) and lease not in taken:
                    self._ports.give_back(lease)
        return outcome

    def _resolve(self, admitted: Admitted, *, unix_time: float) -> Credential | NoCredential:
        if admitted.claim is None:
            return ANONYMOUS
        return self._keys.resolve(admitted.claim, unix_time=unix_time)

    def _lease(self, proved: Proved, leases: list[RelayLease | Refusal], *, now: int) -> None:
        """What the request needs, put into `leases` one by one: a fault leaves none behind."""
        local = proved.request.five_tuple.server
        for need in relay_needs(self._state, proved.request, now=now):
            leases.append(self._ports.lease(need, local, now=now))

    def _carry_out(self, outcome: Outcome, *, now: int) -> None:
        door.apply(self._native, outcome.changes)
        self._journal.write(outcome.journal, now=now)
        for lease in outcome.unclaimed:
            self._ports.give_back(lease)
        for lease in outcome.closed:
            self._ports.closed(lease)
