"""Relayed addresses on their way to an allocation: what is needed, what was bound, what is kept.

The server binds relay sockets ahead of need and hands one in with the request (a `RelayLease`);
a reservation (RFC 8656 §7.2, EVEN-PORT with the R bit) keeps the next port for a second request.
Knows no sockets.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from ferryman.wire.address import Address, Family

RESERVATION_CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class RelayNeed:
    """What an Allocate asks for. `pair`: an even port and, reserved, the next higher one."""

    family: Family
    even: bool = False
    pair: bool = False


@dataclass(frozen=True, slots=True)
class RelayLease:
    """A relay socket bound ahead of need; `advertised` is how clients and peers know it."""

    bound: Address
    advertised: Address
    next_higher: RelayLease | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    username: str
    lease: RelayLease
    expires_at: int


class Reservations:
    """Ports kept for whoever shows the 8-octet token, under the same username."""

    def __init__(self) -> None:
        self._by_token: dict[bytes, Reservation] = {}
        self._deadlines: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._by_token)

    @property
    def has_room(self) -> bool:
        return len(self._by_token) < RESERVATION_CAPACITY

    def add(self, token: bytes, reservation: Reservation) -> None:
        self._by_token[token] = reservation
        heapq.heappush(self._deadlines, (reservation.expires_at, token))

    def find(self, token: bytes, username: str, *, now: int) -> Reservation | None:
        """The live reservation that the token names, if this user made it."""
        found = self._by_token.get(token)
        if found is None or found.username != username or found.expires_at <= now:
            return None
        return found

    def redeem(self, token: bytes) -> None:
        del self._by_token[token]

    def expire(self, *, now: int) -> list[RelayLease]:
        """Take out what nobody came for; the leases go back to the server."""
        unclaimed = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, token = heapq.heappop(self._deadlines)
            reservation = self._by_token.pop(token, None)
            if reservation is not None:
                unclaimed.append(reservation.lease)
        return unclaimed
