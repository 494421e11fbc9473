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
from ferryman.datapath.door import Asked, Disconnected, Ended, Event, Noticed
from ferryman.engine.admission import Admitted, admit
from ferryman.engine.allocate import relay_need
from ferryman.engine.changes import Change
from ferryman.engine.credential import ANONYMOUS, Credential, NoCredential
from ferryman.engine.decision import decide
from ferryman.engine.ending import disconnected, expire, stop, used
from ferryman.engine.journal import Entry
from ferryman.engine.refusals import Refusal
from ferryman.engine.relay import RelayLease
from ferryman.engine.state import Outcome, State
from ferryman.server.relay_ports import RelayPorts

BATCH = 64


class Pump:
    """Runs on one thread; every method returns quickly and never waits."""

    def __init__(
        self,
        native: door.Native,
        state: State,
        keys: Keys,
        ports: RelayPorts,
        write_journal: Callable[[list[Entry], int], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._native = native
        self._state = state
        self._keys = keys
        self._ports = ports
        self._write_journal = write_journal
        self._log = log

    def run_batch(self) -> int:
        """Deal with what the datapath has to tell; returns how many events there were."""
        now = time.monotonic_ns()
        unix_time = time.time()
        events = door.drain(self._native, BATCH)
        changes: list[Change] = []
        entries: list[Entry] = []
        for event in events:
            outcome = self._safe_outcome(event, unix_time=unix_time, now=now)
            changes += outcome.changes
            entries += outcome.journal
            self._free(event, outcome)
        door.apply(self._native, changes)
        self._write_journal(entries, now)
        return len(events)

    def tick(self) -> None:
        """Once a second: let expired allocations go and refill the stock of relay ports."""
        now = time.monotonic_ns()
        self._carry_out(expire(self._state, now=now), now=now)
        self._ports.top_up()

    def close_all(self) -> None:
        now = time.monotonic_ns()
        self._carry_out(stop(self._state, now=now), now=now)

    @property
    def closing(self) -> int:
        """Allocations whose usage the datapath has not told yet."""
        return len(self._state.closing)

    def _safe_outcome(self, event: Event, *, unix_time: float, now: int) -> Outcome:
        """A fault of ours over one client's request must not take the others' calls with it."""
        try:
            return self._outcome(event, unix_time=unix_time, now=now)
        except Exception:
            self._log.exception("a request could not be decided; please report this")
            return Outcome()

    def _outcome(self, event: Event, *, unix_time: float, now: int) -> Outcome:
        match event:
            case Asked(five_tuple, packet):
                admitted = admit(self._state, five_tuple, packet, now=now)
                if isinstance(admitted, Outcome):
                    return admitted
                return self._decide(admitted, unix_time=unix_time, now=now)
            case Ended(allocation, usage):
                return used(self._state, allocation, usage)
            case Disconnected(five_tuple):
                return disconnected(self._state, five_tuple, now=now)
            case Noticed(text):
                self._log.warning(text)
                return Outcome()

    def _decide(self, admitted: Admitted, *, unix_time: float, now: int) -> Outcome:
        credential = self._resolve(admitted, unix_time=unix_time)
        lease = self._lease(admitted, credential, now=now)
        outcome = decide(self._state, admitted, credential, lease, now=now)
        if isinstance(lease, RelayLease) and not outcome.lease_taken:
            self._ports.give_back(lease)
        return outcome

    def _resolve(self, admitted: Admitted, *, unix_time: float) -> Credential | NoCredential:
        if admitted.claim is None:
            return ANONYMOUS
        return self._keys.resolve(admitted.claim, unix_time=unix_time)

    def _lease(
        self, admitted: Admitted, credential: Credential | NoCredential, *, now: int
    ) -> RelayLease | Refusal | None:
        if isinstance(credential, NoCredential):
            return None
        need = relay_need(self._state, admitted.request, now=now)
        if need is None:
            return None
        return self._ports.lease(need, admitted.request.five_tuple.server)

    def _free(self, event: Event, outcome: Outcome) -> None:
        """Ports that came back: closed by the datapath with their allocation, else still bound."""
        for lease in outcome.freed:
            if isinstance(event, Ended):
                self._ports.closed(lease)
            else:
                self._ports.give_back(lease)

    def _carry_out(self, outcome: Outcome, *, now: int) -> None:
        door.apply(self._native, outcome.changes)
        self._write_journal(outcome.journal, now)
        for lease in outcome.freed:
            self._ports.give_back(lease)
