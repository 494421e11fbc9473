"""Reading packets as the native packet path reads them (RFC 8489 §5, RFC 8656 §11.2): no more
of a message than is needed to forward it.

Knows no table; what is permitted is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from ferryman.wire.address import Address
from ferryman.wire.errors import Malformed
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import (
    HEADER_LENGTH,
    MAGIC_COOKIE,
    UNDERSTOOD,
    Attribute,
    MessageClass,
    Method,
)
from ferryman.wire.values import decode_xor_address_untrusted

_COOKIE: Final = MAGIC_COOKIE.to_bytes(4, "big")
_ATTRIBUTE: Final = Struct(">HH")
_COMPREHENSION_OPTIONAL: Final = 0x8000


class Unusable(Malformed):
    """Bytes of which the packet path can make nothing; the text is the reason's name."""


def header_untrusted(packet: bytes) -> tuple[MessageClass, int]:
    """Class and method of one whole message, whatever its attributes are (RFC 8489 §5)."""
    if len(packet) < HEADER_LENGTH:
        raise Unusable("malformed")
    if packet[4:8] != _COOKIE:
        raise Unusable("not_turn")
    length = int.from_bytes(packet[2:4], "big")
    if length % 4 or length != len(packet) - HEADER_LENGTH:
        raise Unusable("malformed")
    header = decode_untrusted(packet[:2] + bytes(2) + packet[4:HEADER_LENGTH])
    return header.message_class, header.method


def send_indication_untrusted(packet: bytes) -> tuple[Address, bytes, bool]:
    """Peer and payload, the first of each counts, and whether DONT-FRAGMENT is there
    (RFC 8656 §11.2)."""
    found: dict[int, bytes] = {}
    for number, value in _counting_untrusted(packet):
        if number < _COMPREHENSION_OPTIONAL and number not in UNDERSTOOD[Method.SEND]:
            raise Unusable("unknown_attribute")
        found.setdefault(number, value)
    if not found.keys() >= {Attribute.XOR_PEER_ADDRESS, Attribute.DATA}:
        raise Unusable("missing_attribute")
    try:
        peer = decode_xor_address_untrusted(found[Attribute.XOR_PEER_ADDRESS], packet[8:20])
    except Malformed:
        raise Unusable("malformed") from None
    return peer, found[Attribute.DATA], Attribute.DONT_FRAGMENT in found


def _counting_untrusted(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes that count (RFC 8489 §14.5). `decode_untrusted` would verify FINGERPRINT,
    which the packet path leaves alone in a Send indication."""
    at, sealed = HEADER_LENGTH, False
    while at < len(packet):
        number, length = _ATTRIBUTE.unpack_from(packet, at)
        start, end = at + 4, at + 4 + length
        if end > len(packet):
            raise Unusable("malformed")
        if not sealed or number == Attribute.MESSAGE_INTEGRITY_SHA256:
            yield number, packet[start:end]
        sealed = sealed or number == Attribute.MESSAGE_INTEGRITY
        at = end + (-length & 3)
