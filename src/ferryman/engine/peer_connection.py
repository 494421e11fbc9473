"""Peer data connections of TCP allocations (RFC 6062 §5.2, §5.3) and the one table of them.

A connection is found by its number (the datapath's name for it), its CONNECTION-ID (the client's)
or its allocation and peer. Knows no request and sends nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from ferryman.engine.allocation import Allocation
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.settings import SECOND
from ferryman.wire.address import Address

CONNECTIONS = 16_384
"""Peer connections at a time, and of one allocation; the datapath holds arrivals to the same."""
CONNECTIONS_OF_ALLOCATION = 64

PATIENCE = 30 * SECOND
"""How long a peer may take to answer, and then a client to bind (RFC 6062 §5.2, §5.3)."""


class Stage(Enum):
    CONNECTING = "connecting"
    PENDING = "pending"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A Connect request whose answer waits for the peer: what that answer needs of it."""

    five_tuple: FiveTuple
    transaction_id: bytes
    username: str
    fingerprint: bool
    sha256: bool
    key: bytes | None = field(repr=False)


@dataclass(slots=True)
class PeerConnection:
    """`connection_id` is 4 octets that nobody can guess; `unanswered` while it is CONNECTING."""

    number: int
    connection_id: bytes
    allocation: Allocation
    peer: Address
    stage: Stage
    unanswered: Unanswered | None = None


class PeerConnections:
    """Every peer connection, and until when those that wait for somebody may wait."""

    def __init__(self) -> None:
        self._by_number: dict[int, PeerConnection] = {}
        self._by_id: dict[bytes, PeerConnection] = {}
        self._by_peer: dict[int, dict[Address, PeerConnection]] = {}
        # All wait equally long, so they lie in order of their deadlines.
        self._deadlines: OrderedDict[int, int] = OrderedDict()
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def numbered(self, number: int) -> PeerConnection | None:
        return self._by_number.get(number)

    def pending(self, connection_id: bytes, *, now: int) -> PeerConnection | None:
        """The live connection of this CONNECTION-ID that nobody has bound yet."""
        found = self._by_id.get(connection_id)
        if found is None or found.stage is not Stage.PENDING:
            return None
        live = now < min(self._deadlines[found.number], found.allocation.expires_at)
        return found if live else None

    def of(self, allocation: Allocation) -> list[PeerConnection]:
        return list(self._by_peer.get(allocation.number, {}).values())

    def reaches(self, allocation: Allocation, peer: Address) -> bool:
        """Whether the allocation has a connection with this peer, or waits for one."""
        return peer in self._by_peer.get(allocation.number, {})

    def has_room(self, allocation: Allocation) -> bool:
        of_allocation = len(self._by_peer.get(allocation.number, {}))
        return len(self) < CONNECTIONS and of_allocation < CONNECTIONS_OF_ALLOCATION

    def new_number(self) -> int:
        """A number that no connection has had; those that the datapath gives lie elsewhere."""
        self._last_number += 1
        return self._last_number

    def new_id(self, random_token: Callable[[], bytes]) -> bytes:
        """A CONNECTION-ID that no connection has."""
        while (connection_id := random_token()[-4:]) in self._by_id:
            pass
        return connection_id

    def add(self, connection: PeerConnection, *, now: int) -> None:
        self._by_number[connection.number] = connection
        self._by_id[connection.connection_id] = connection
        self._by_peer.setdefault(connection.allocation.number, {})[connection.peer] = connection
        self._deadlines[connection.number] = now + PATIENCE

    def established(self, connection: PeerConnection, *, now: int) -> None:
        """The peer has answered; from now on the client has its time to bind."""
        connection.stage = Stage.PENDING
        connection.unanswered = None
        self._deadlines[connection.number] = now + PATIENCE
        self._deadlines.move_to_end(connection.number)

    def bind(self, connection: PeerConnection) -> None:
        """It waits for nobody any more."""
        connection.stage = Stage.BOUND
        del self._deadlines[connection.number]

    def remove(self, connection: PeerConnection) -> None:
        del self._by_number[connection.number]
        del self._by_id[connection.connection_id]
        of_allocation = self._by_peer[connection.allocation.number]
        del of_allocation[connection.peer]
        if not of_allocation:
            del self._by_peer[connection.allocation.number]
        self._deadlines.pop(connection.number, None)

    def overdue(self, *, now: int) -> list[PeerConnection]:
        """Those that have waited too long; they stay until they are removed."""
        due = []
        for number, deadline in self._deadlines.items():
            if now < deadline:
                break
            due.append(self._by_number[number])
        return due
