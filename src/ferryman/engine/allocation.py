"""Allocations (RFC 8656 §3.2) and the one table of them.

Every look-up that a decision needs is a key of this table: 5-tuple, number, relayed address,
owner, source. Knows nothing of requests.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ferryman.engine.channel import Channels
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.grant import Grant
from ferryman.engine.mobile import Mobile
from ferryman.engine.permission import Permissions
from ferryman.engine.relay import RelayLease
from ferryman.engine.source import source_of
from ferryman.wire.address import Address, Family

_Key = TypeVar("_Key")
_SLACK = 64
"""Deadlines of closed allocations that may lie about before they are swept out."""


@dataclass(slots=True)
class Relayed:
    """One relayed address; `expires_at` moves with each Refresh that means it."""

    lease: RelayLease
    expires_at: int


@dataclass(slots=True)
class Allocation:
    """One client's relayed addresses, one of a family at most, and what they may reach.

    `five_tuple` is the client's path; while it moves there is another one in `mobile`.
    Permissions and channels need no family of their own: each peer has one. `source`: where the
    request came from that opened it. `bytes_per_second`: what it may carry in each direction; 0
    for no limit. `grant`: of a third party's client. `origin`: what the request named that opened
    it.
    """

    number: int
    five_tuple: FiveTuple
    username: str
    owner: str
    relayed: dict[Family, Relayed]
    opened_at: int
    permissions: Permissions
    channels: Channels
    bytes_per_second: int = 0
    grant: Grant | None = None
    origin: str = ""
    mobile: Mobile = field(default_factory=Mobile)
    source: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.source = source_of(self.five_tuple.client.ip)

    @property
    def expires_at(self) -> int:
        """When the last of its relayed addresses ends."""
        return max(relayed.expires_at for relayed in self.relayed.values())

    @property
    def next_end(self) -> int:
        """When the first of its relayed addresses ends."""
        return min(relayed.expires_at for relayed in self.relayed.values())

    @property
    def leases(self) -> list[RelayLease]:
        return [relayed.lease for relayed in self.relayed.values()]

    @property
    def transport(self) -> Transport:
        """UDP, or TCP (RFC 6062), towards its peers."""
        return self.leases[0].transport

    @property
    def advertised(self) -> tuple[Address, ...]:
        """Its relayed addresses as clients and peers know them."""
        return tuple(lease.advertised for lease in self.leases)

    def relays(self, family: Family, *, now: int) -> bool:
        """Whether it has a live relayed address of this family."""
        relayed = self.relayed.get(family)
        return relayed is not None and now < relayed.expires_at

    def families(self, *, now: int) -> tuple[Family, ...]:
        """The families of its live relayed addresses."""
        return tuple(family for family in self.relayed if self.relays(family, now=now))

    def expired_families(self, *, now: int) -> tuple[Family, ...]:
        return tuple(family for family in self.relayed if not self.relays(family, now=now))

    @property
    def paths(self) -> tuple[FiveTuple, ...]:
        """The 5-tuples that lead to it: one, or two while its client moves."""
        second = self.mobile.next_path
        return (self.five_tuple,) if second is None else (self.five_tuple, second)


class Allocations:
    """All live allocations. An expired one is never found, whether or not it was taken out yet."""

    def __init__(self) -> None:
        self._by_five_tuple: dict[FiveTuple, Allocation] = {}
        self._by_relayed: dict[tuple[Transport, Address], Allocation] = {}
        self._by_number: dict[int, Allocation] = {}
        self._of_owner: Counter[str] = Counter()
        self._of_source: Counter[bytes] = Counter()
        self._promised = 0
        self._deadlines: list[tuple[int, int]] = []
        self._scheduled: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(list(self._by_number.values()))

    def of(self, five_tuple: FiveTuple, *, now: int) -> Allocation | None:
        found = _live(self._by_five_tuple.get(five_tuple), now=now)
        if found is None or found.five_tuple == five_tuple:
            return found
        return found if now < found.mobile.until else None

    def numbered(self, number: int) -> Allocation | None:
        """By number, even one that has expired and was not taken out yet."""
        return self._by_number.get(number)

    def holding(self, five_tuple: FiveTuple) -> Allocation | None:
        """The 5-tuple's allocation, even one that has expired and was not taken out yet."""
        return self._by_five_tuple.get(five_tuple)

    def relaying(self, transport: Transport, address: Address, *, now: int) -> Allocation | None:
        """The allocation whose live relayed address, bound or advertised, this is."""
        found = self._by_relayed.get((transport, address))
        return found if found is not None and found.relays(address.family, now=now) else None

    def owned_by(self, owner: str) -> int:
        """How many allocations count against the owner's quota."""
        return self._of_owner[owner]

    def opened_from(self, source: bytes) -> int:
        """How many allocations were opened from a source."""
        return self._of_source[source]

    @property
    def promised(self) -> int:
        """Bytes per second that all of them together may carry in each direction."""
        return self._promised

    def add(self, allocation: Allocation) -> None:
        self._by_number[allocation.number] = allocation
        self._by_five_tuple[allocation.five_tuple] = allocation
        for lease in allocation.leases:
            for name in _names(lease):
                self._by_relayed[name] = allocation
        self._of_owner[allocation.owner] += 1
        self._of_source[allocation.source] += 1
        self._promised += allocation.bytes_per_second
        self._schedule(allocation)

    def extend(
        self, allocation: Allocation, families: Iterable[Family], *, expires_at: int
    ) -> None:
        for family in families:
            allocation.relayed[family].expires_at = expires_at
        if expires_at < self._scheduled[allocation.number]:
            self._schedule(allocation)

    def add_path(self, allocation: Allocation, path: FiveTuple) -> None:
        self._by_five_tuple[path] = allocation

    def drop_path(self, allocation: Allocation, path: FiveTuple) -> None:
        """Nothing when the path leads elsewhere already."""
        if self._by_five_tuple.get(path) is allocation:
            del self._by_five_tuple[path]

    def remove(self, allocation: Allocation) -> None:
        del self._by_number[allocation.number]
        for path in allocation.paths:
            self.drop_path(allocation, path)
        for lease in allocation.leases:
            self._release(allocation, lease)
        del self._scheduled[allocation.number]
        self._promised -= allocation.bytes_per_second
        _count_down(self._of_owner, allocation.owner)
        _count_down(self._of_source, allocation.source)

    def remove_relayed(self, allocation: Allocation, family: Family) -> RelayLease:
        """Take out one of its two relayed addresses, its permissions and its channels."""
        lease = allocation.relayed.pop(family).lease
        self._release(allocation, lease)
        allocation.permissions.forget(family)
        allocation.channels.forget(family)
        self._schedule(allocation)
        return lease

    def expired(self, *, now: int) -> list[Allocation]:
        """Those with a relayed address whose time has come; all of it stays in the table until it
        is removed."""
        due = {}  # each once: a deadline that came back to what it was lies in the heap twice
        while self._deadlines and self._deadlines[0][0] <= now:
            at, number = heapq.heappop(self._deadlines)
            if self._scheduled.get(number) != at:
                continue
            allocation = self._by_number[number]
            if allocation.next_end <= now:
                due[number] = allocation
            else:
                self._schedule(allocation)
        return list(due.values())

    def _release(self, allocation: Allocation, lease: RelayLease) -> None:
        for name in _names(lease):
            if self._by_relayed.get(name) is allocation:
                del self._by_relayed[name]

    def _schedule(self, allocation: Allocation) -> None:
        """Look at it again when it expires; a later expiry is found then, and costs nothing now."""
        self._scheduled[allocation.number] = allocation.next_end
        heapq.heappush(self._deadlines, (allocation.next_end, allocation.number))
        if len(self._deadlines) > 2 * len(self._scheduled) + _SLACK:
            # Most are of allocations that were closed before their time.
            self._deadlines = [(at, number) for number, at in self._scheduled.items()]
            heapq.heapify(self._deadlines)


def _names(lease: RelayLease) -> tuple[tuple[Transport, Address], ...]:
    return ((lease.transport, lease.bound), (lease.transport, lease.advertised))


def _count_down(counted: Counter[_Key], key: _Key) -> None:
    """One less, and nothing left behind by the last."""
    counted[key] -= 1
    if not counted[key]:
        del counted[key]


def _live(allocation: Allocation | None, *, now: int) -> Allocation | None:
    return allocation if allocation is not None and now < allocation.expires_at else None
