"""Mobility tickets (RFC 8016 §3.3, §5): sealed by the server for itself, so that none is kept.

A ticket names an allocation, its own serial number and its owner. Knows no allocation and no
request.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ferryman.wire.errors import Malformed

KEY_LENGTH = 64
"""Octets of the key: AES-256 in SIV mode takes two halves."""

TICKET_LENGTH = 32
"""Octets of a ticket, none of them zero: coturn's client keeps it as a C string of 32 at most."""

_NUMBER_END = 6
_SERIAL_END = 11
_OWNER_END = 15
"""Where in a ticket each of its values ends; the next one begins there."""
_TRIES = 256


class Ticket(NamedTuple):
    """What a ticket says; `owner` is a hash of the username."""

    allocation: int
    serial: int
    owner: bytes

    def belongs_to(self, username: str) -> bool:
        return self.owner == _hash_of(username)


class Tickets:
    """Seals and opens tickets under one key, which lives no longer than the allocations.

    AES-SIV (RFC 5297) needs no random number: the same ticket can be written again for a
    retransmitted request, and no two others look alike.
    """

    def __init__(self, key: bytes) -> None:
        self._sealing = AESSIV(key)

    def seal(self, allocation: int, serial: int, username: str) -> bytes:
        """A ticket that nobody else can make or read."""
        plain = allocation.to_bytes(6, "big") + serial.to_bytes(5, "big") + _hash_of(username)
        # One octet of the 16 is free; one of its first few values leaves no zero in what is sealed.
        tries = (self._sealing.encrypt(plain + bytes([free]), None) for free in range(_TRIES))
        return next(sealed for sealed in tries if 0 not in sealed)

    def open_untrusted(self, sealed: bytes) -> Ticket:
        """Raises Malformed for whatever was not sealed here."""
        if len(sealed) != TICKET_LENGTH:
            raise Malformed(f"MOBILITY-TICKET has {len(sealed)} octets, not {TICKET_LENGTH}")
        try:
            plain = self._sealing.decrypt(sealed, None)
        except InvalidTag:
            raise Malformed("MOBILITY-TICKET is not one of ours") from None
        number, serial = plain[:_NUMBER_END], plain[_NUMBER_END:_SERIAL_END]
        return Ticket(
            int.from_bytes(number, "big"),
            int.from_bytes(serial, "big"),
            plain[_SERIAL_END:_OWNER_END],
        )


def _hash_of(username: str) -> bytes:
    return blake2b(username.encode(), digest_size=4).digest()
