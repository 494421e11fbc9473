"""STUN messages: header, attributes and their checks (RFC 8489 §5, §14).

Does not know what an attribute's value means, nor which method takes which attribute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from struct import Struct
from typing import Final

from ferryman.wire.errors import Malformed
from ferryman.wire.integrity import (
    INTEGRITY_LENGTH,
    SHA256_LENGTH,
    SHA256_LENGTHS,
    fingerprint_value,
    message_integrity,
    message_integrity_sha256,
)
from ferryman.wire.registry import HEADER_LENGTH, MAGIC_COOKIE, Attribute, MessageClass

_HEADER: Final = Struct(">HHI12s")
_ATTRIBUTE: Final = Struct(">HH")
_UINT32: Final = Struct(">I")
_CLASSES: Final = tuple(MessageClass)
_INTEGRITY_SIZE: Final = 4 + INTEGRITY_LENGTH  # header and value, as the next two
_SHA256_SIZE: Final = 4 + SHA256_LENGTH
_FINGERPRINT_SIZE: Final = 8
_OPTIONAL: Final = 0x8000

# Plain ints: looking up an enum member costs more than reading an attribute.
_INTEGRITY: Final = int(Attribute.MESSAGE_INTEGRITY)
_INTEGRITY_SHA256: Final = int(Attribute.MESSAGE_INTEGRITY_SHA256)
_FINGERPRINT: Final = int(Attribute.FINGERPRINT)

_PADDING: Final = (b"", bytes(3), bytes(2), bytes(1))
"""What follows a value, by its length modulo 4."""
_INTEGRITY_HEADER: Final = _ATTRIBUTE.pack(_INTEGRITY, INTEGRITY_LENGTH)
_SHA256_HEADER: Final = _ATTRIBUTE.pack(_INTEGRITY_SHA256, SHA256_LENGTH)


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A STUN message whose header and lengths are true; its values are not looked at yet.

    `attributes` holds (type, value without padding) in the order received, without those that
    no integrity attribute covers (RFC 8489 §14.5, §14.6). Where a type occurs twice, the first
    counts.
    """

    message_class: MessageClass
    method: int
    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...]
    has_fingerprint: bool = False
    _packet: bytes = field(default=b"", compare=False)
    _integrity_at: int = field(default=0, compare=False)
    _sha256_at: int = field(default=0, compare=False)

    def first(self, attribute: int) -> bytes | None:
        """Value of the first attribute of this type, None without one."""
        for number, value in self.attributes:
            if number == attribute:
                return value
        return None

    def all(self, attribute: int) -> list[bytes]:
        """Values of every attribute of this type, in order."""
        return [value for number, value in self.attributes if number == attribute]

    def verifies(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and was made with this key; in constant time."""
        at = self._integrity_at
        claimed = self._packet[at : at + _INTEGRITY_SIZE]
        if not at or not claimed.startswith(_INTEGRITY_HEADER):
            return False
        return compare_digest(claimed[4:], message_integrity(key, self._packet[:at]))

    @property
    def has_sha256(self) -> bool:
        """Whether MESSAGE-INTEGRITY-SHA256 is there, right or wrong."""
        return self._sha256_at != 0

    def verifies_sha256(self, key: bytes, *, shortest: int = SHA256_LENGTH) -> bool:
        """Whether MESSAGE-INTEGRITY-SHA256 is there and was made with this key; in constant time.

        A usage that allows truncation says how short the value may be: 16 to 32 bytes, a multiple
        of 4 (RFC 8489 §14.6). TURN does not allow it.
        """
        at = self._sha256_at
        claimed = self.first(_INTEGRITY_SHA256)
        if not at or claimed is None:
            return False
        length = len(claimed)
        if length not in SHA256_LENGTHS or length < shortest:
            return False
        covered = self._packet[:at]
        return compare_digest(claimed, message_integrity_sha256(key, covered, length))

    def unknown_required(self, understood: Collection[int]) -> list[int]:
        """Comprehension-required types not in `understood`, in order, each once."""
        unknown = [
            number
            for number, _ in self.attributes
            if number < _OPTIONAL and number not in understood
        ]
        return list(dict.fromkeys(unknown)) if unknown else unknown

    def __repr__(self) -> str:
        # Types and sizes only: values hold names and tickets that do not belong in a log.
        attributes = " ".join(f"{number:#06x}[{len(value)}]" for number, value in self.attributes)
        return (
            f"<Message {self.message_class.name} {self.method:#05x} "
            f"{self.transaction_id.hex()}: {attributes}>"
        )


def decode_untrusted(packet: bytes) -> Message:
    """Read one whole message; a FINGERPRINT in it is checked. Raises Malformed (RFC 8489 §6.3)."""
    size = len(packet)
    if size < HEADER_LENGTH:
        raise Malformed("shorter than a STUN header")
    message_type, length, cookie, transaction_id = _HEADER.unpack_from(packet)
    if message_type & 0xC000:
        raise Malformed("first two bits are not zero")
    if cookie != MAGIC_COOKIE:
        raise Malformed("no magic cookie")
    if length & 3:
        raise Malformed("length is not a multiple of 4")
    if length != size - HEADER_LENGTH:
        raise Malformed("length is not that of the packet")
    attributes, integrity_at, sha256_at, has_fingerprint = _attributes_untrusted(packet, size)
    return Message(
        _CLASSES[(message_type >> 7 & 2) | (message_type >> 4 & 1)],
        (message_type & 0x000F) | (message_type & 0x00E0) >> 1 | (message_type & 0x3E00) >> 2,
        transaction_id,
        attributes,
        has_fingerprint,
        packet,
        integrity_at,
        sha256_at,
    )


def _attributes_untrusted(
    packet: bytes, size: int
) -> tuple[tuple[tuple[int, bytes], ...], int, int, bool]:
    """Attributes that count, where the first MESSAGE-INTEGRITY begins and where its SHA-256
    sibling does (else 0), whether there is a FINGERPRINT."""
    unpack = _ATTRIBUTE.unpack_from
    attributes: list[tuple[int, bytes]] = []
    integrity_at = 0
    sha256_at = 0
    at = HEADER_LENGTH
    while at < size:
        number, length = unpack(packet, at)
        start = at + 4
        end = start + length
        if end > size:
            raise Malformed("an attribute reaches past the end")
        if number == _FINGERPRINT:
            _check_fingerprint_untrusted(packet, at, length)
            attributes.append((number, packet[start:end]))
            return tuple(attributes), integrity_at, sha256_at, True
        if sha256_at:
            pass  # nothing behind it counts but FINGERPRINT
        elif number == _INTEGRITY_SHA256:
            attributes.append((number, packet[start:end]))
            sha256_at = at
        elif not integrity_at:
            attributes.append((number, packet[start:end]))
            if number == _INTEGRITY:
                integrity_at = at
        at = (end + 3) & ~3
    return tuple(attributes), integrity_at, sha256_at, False


def _check_fingerprint_untrusted(packet: bytes, at: int, length: int) -> None:
    if length != 4:
        raise Malformed("FINGERPRINT is not 4 bytes")
    if at + _FINGERPRINT_SIZE != len(packet):
        raise Malformed("FINGERPRINT is not the last attribute")
    if _UINT32.unpack_from(packet, at + 4)[0] != fingerprint_value(packet[:at]):
        raise Malformed("FINGERPRINT is wrong")


def encode(
    message_class: MessageClass,
    method: int,
    transaction_id: bytes,
    attributes: Iterable[tuple[int, bytes]],
    *,
    key: bytes | None = None,
    sha256_key: bytes | None = None,
    fingerprint: bool = False,
) -> bytes:
    """A message with these attributes in this order, padded with zeros.

    `key` adds MESSAGE-INTEGRITY, `sha256_key` MESSAGE-INTEGRITY-SHA256, `fingerprint` FINGERPRINT,
    in this order, last. Raises ValueError for what no message can hold: a method over 12 bits, an
    id that is not 12 bytes, over 65,535 bytes.
    """
    if not 0 <= method <= 0xFFF or len(transaction_id) != 12:
        raise ValueError("method is 12 bits and the transaction id 12 bytes")
    body = _encode_attributes(attributes)
    if key is not None:
        length = len(body) + _INTEGRITY_SIZE
        covered = _encode_header(message_class, method, transaction_id, length) + body
        body += _INTEGRITY_HEADER + message_integrity(key, covered)
    if sha256_key is not None:
        length = len(body) + _SHA256_SIZE
        covered = _encode_header(message_class, method, transaction_id, length) + body
        body += _SHA256_HEADER + message_integrity_sha256(sha256_key, covered)
    if not fingerprint:
        return _encode_header(message_class, method, transaction_id, len(body)) + body
    length = len(body) + _FINGERPRINT_SIZE
    return _with_fingerprint(_encode_header(message_class, method, transaction_id, length) + body)


def _encode_header(
    message_class: MessageClass, method: int, transaction_id: bytes, length: int
) -> bytes:
    if length > 0xFFFF:
        raise ValueError("a message holds at most 65,535 bytes of attributes")
    message_type = (
        (method & 0x00F)
        | (method & 0x070) << 1
        | (method & 0xF80) << 2
        | (message_class & 1) << 4
        | (message_class & 2) << 7
    )
    return _HEADER.pack(message_type, length, MAGIC_COOKIE, transaction_id)


def _encode_attributes(attributes: Iterable[tuple[int, bytes]]) -> bytes:
    parts: list[bytes] = []
    for number, value in attributes:
        length = len(value)
        if length > 0xFFFF:
            raise ValueError("an attribute holds at most 65,535 bytes")
        parts += _ATTRIBUTE.pack(number, length), value, _PADDING[length & 3]
    return b"".join(parts)


def _with_fingerprint(covered: bytes) -> bytes:
    return covered + _ATTRIBUTE.pack(_FINGERPRINT, 4) + _UINT32.pack(fingerprint_value(covered))
