"""Everything the engine remembers, and the values that one request is decided with.

`State` is written by the modules named after the methods, by `ending`, and by nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ferryman.engine.allocation import Allocation, Allocations
from ferryman.engine.alternate import Alternates
from ferryman.engine.answered import Answered
from ferryman.engine.changes import Change
from ferryman.engine.credential import Credential
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import Ending, Entry
from ferryman.engine.mobile import Moving
from ferryman.engine.nonce import Nonces
from ferryman.engine.peer_connection import PeerConnections
from ferryman.engine.peer_rules import PeerRules
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.relay import RelayLease, Reservations
from ferryman.engine.settings import Settings
from ferryman.engine.strangers import Strangers
from ferryman.engine.ticket import Tickets
from ferryman.wire.address import Family
from ferryman.wire.message import Message


@dataclass(slots=True)
class State:
    """`random_token` makes 8 octets that nobody can guess; tests hand in known ones. `draining`:
    there are to be no new allocations."""

    settings: Settings
    peer_rules: PeerRules
    nonces: Nonces
    random_token: Callable[[], bytes]
    tickets: Tickets
    allocations: Allocations = field(default_factory=Allocations)
    reservations: Reservations = field(default_factory=Reservations)
    answered: Answered = field(default_factory=Answered)
    moving: Moving = field(default_factory=Moving)
    strangers: Strangers = field(default_factory=Strangers)
    guessers: Strangers = field(default_factory=Strangers)
    alternates: Alternates = field(default_factory=Alternates)
    peer_connections: PeerConnections = field(default_factory=PeerConnections)
    closing: dict[int, Closing] = field(default_factory=dict)
    closing_relayed: dict[tuple[int, Family], RelayLease] = field(default_factory=dict)
    last_number: int = 0
    draining: bool = False


class Closing(NamedTuple):
    """A closed allocation whose usage the datapath has not told yet."""

    allocation: Allocation
    ending: Ending
    closed_at: int


class Request(NamedTuple):
    """A request as it arrived; `packet` is what `message` was decoded from."""

    five_tuple: FiveTuple
    packet: bytes
    message: Message


@dataclass(slots=True)
class Outcome:
    """What came of an input: changes for the datapath, in order, and entries for the journal.

    Relay ports that the engine no longer holds: `unclaimed` are still bound, `closed` are not.
    `taken`: those of the leases handed in that it holds from now on.
    """

    changes: list[Change] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    unclaimed: list[RelayLease] = field(default_factory=list)
    closed: list[RelayLease] = field(default_factory=list)
    taken: list[RelayLease] = field(default_factory=list)

    def add(self, later: Outcome) -> None:
        """Append what came of a later input."""
        self.changes += later.changes
        self.journal += later.journal
        self.unclaimed += later.unclaimed
        self.closed += later.closed


Leases: TypeAlias = tuple[RelayLease | Refusal, ...]
"""For each `RelayNeed` of a request a relay socket bound ahead of need, or why there is none."""


@dataclass(slots=True)
class Exchange:
    """One authenticated request while it is being decided."""

    request: Request
    credential: Credential
    leases: Leases
    outcome: Outcome
    now: int
    key: bytes | None = field(default=None, repr=False)
    sha256: bool = False

    @property
    def message(self) -> Message:
        return self.request.message

    @property
    def five_tuple(self) -> FiveTuple:
        return self.request.five_tuple

    def allocation_in(self, state: State) -> Allocation:
        """The client's allocation, its own by username; raises 437 or 441 (RFC 8656 §5)."""
        allocation = state.allocations.of(self.five_tuple, now=self.now)
        if allocation is None:
            raise Refused(Refusal.NO_ALLOCATION)
        if not self.owns(allocation):
            raise Refused(Refusal.WRONG_CREDENTIALS)
        return allocation

    def owns(self, allocation: Allocation) -> bool:
        """Whether the request comes from the user that opened the allocation. An access token names
        no user, and the next may come with another kid: any good one will do on the 5-tuple."""
        if allocation.grant is not None or self.credential.is_third_party:
            return allocation.grant is not None and self.credential.is_third_party
        return allocation.username == self.credential.username
