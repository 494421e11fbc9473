"""Relayed addresses on their way to an allocation: what is needed, what was bound, what is kept.

The server binds relay sockets ahead of need and hands one in with the request (a `RelayLease`);
a reservation (RFC 8656 §7.2, EVEN-PORT with the R bit) keeps the next port for a second request.
Knows no sockets.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

from ferryman.engine.five_tuple import Transport
from ferryman.wire.address import Address, Family

RESERVATIONS = 1024
"""Reservations at a time, and of one owner; besides, each counts against the quotas."""
RESERVATIONS_OF_OWNER = 64


class RelayNeed(NamedTuple):
    """What an Allocate asks for. `pair`: an even port and, reserved, the next higher one."""

    family: Family
    even: bool = False
    pair: bool = False
    transport: Transport = Transport.UDP


class RelayLease(NamedTuple):
    """A relay socket that is bound; `advertised` is how clients and peers know it.

    `transport`: UDP, or TCP (RFC 6062) for a socket that listens.
    """

    bound: Address
    advertised: Address
    next_higher: RelayLease | None = None
    transport: Transport = Transport.UDP


class Reservation(NamedTuple):
    """`third_party`: made with an access token, which names nobody: the next is another owner's."""

    owner: str
    lease: RelayLease
    expires_at: int
    third_party: bool = False


class Reservations:
    """Ports kept for whoever shows the 8-octet token and is the same owner.

    All last equally long, so they lie in order of expiry.
    """

    def __init__(self) -> None:
        self._by_token: OrderedDict[bytes, Reservation] = OrderedDict()
        self._of_owner: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._by_token)

    def owned_by(self, owner: str) -> int:
        return self._of_owner[owner]

    def has_room(self, owner: str) -> bool:
        return len(self) < RESERVATIONS and self._of_owner[owner] < RESERVATIONS_OF_OWNER

    def add(self, token: bytes, reservation: Reservation) -> None:
        self._by_token[token] = reservation
        self._of_owner[reservation.owner] += 1

    def find(
        self, token: bytes, owner: str, *, third_party: bool = False, now: int
    ) -> Reservation | None:
        """The live reservation that the token names, if this owner made it; what one third party's
        client reserved, any of them may have who knows its 8 random octets."""
        found = self._by_token.get(token)
        if found is None or found.expires_at <= now:
            return None
        if found.third_party or third_party:
            return found if found.third_party and third_party else None
        return found if found.owner == owner else None

    def remove(self, token: bytes) -> RelayLease:
        reservation = self._by_token.pop(token)
        self._of_owner[reservation.owner] -= 1
        if not self._of_owner[reservation.owner]:
            del self._of_owner[reservation.owner]
        return reservation.lease

    def expire(self, *, now: int) -> list[RelayLease]:
        """Take out what nobody came for; the leases go back to the server."""
        unclaimed = []
        while self._by_token:
            token, reservation = next(iter(self._by_token.items()))
            if now < reservation.expires_at:
                break
            unclaimed.append(self.remove(token))
        return unclaimed
