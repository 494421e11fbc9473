"""Requests put together octet by octet, so that every rule can be broken (RFC 8489 §5, §14).

Integrity is computed here with the standard library: what the server's own code believes about
it is what these tests ask.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import zlib
from collections.abc import Iterable

MAGIC_COOKIE = 0x2112A442
MESSAGE_INTEGRITY = 0x0008
MESSAGE_INTEGRITY_SHA256 = 0x001C
FINGERPRINT = 0x8028

Attributes = Iterable[tuple[int, bytes]]


def attribute(number: int, value: bytes) -> bytes:
    """Type, length, value and padding (RFC 8489 §14)."""
    return struct.pack(">HH", number, len(value)) + value + bytes(-len(value) % 4)


def plain(
    message_type: int, attributes: Attributes = (), *, transaction_id: bytes | None = None
) -> bytes:
    """A message of this 16-bit type without any integrity."""
    body = b"".join(attribute(number, value) for number, value in attributes)
    return header(message_type, len(body), transaction_id or os.urandom(12)) + body


def header(message_type: int, length: int, transaction_id: bytes) -> bytes:
    return struct.pack(">HHI12s", message_type, length, MAGIC_COOKIE, transaction_id)


def with_length(packet: bytes, length: int) -> bytes:
    return packet[:2] + struct.pack(">H", length) + packet[4:]


def sealed_sha1(packet: bytes, key: bytes) -> bytes:
    """The packet with MESSAGE-INTEGRITY behind it (RFC 8489 §14.5)."""
    return _sealed(packet, key, MESSAGE_INTEGRITY, "sha1", 20)


def sealed_sha256(packet: bytes, key: bytes, *, length: int = 32) -> bytes:
    """The packet with MESSAGE-INTEGRITY-SHA256, cut to `length` octets (RFC 8489 §14.6)."""
    return _sealed(packet, key, MESSAGE_INTEGRITY_SHA256, "sha256", length)


def _sealed(packet: bytes, key: bytes, number: int, digest: str, length: int) -> bytes:
    whole = with_length(packet, len(packet) - 20 + 4 + length)
    return whole + attribute(number, hmac.digest(key, whole, digest)[:length])


def fingerprinted(packet: bytes) -> bytes:
    """The packet with FINGERPRINT behind it (RFC 8489 §14.7)."""
    whole = with_length(packet, len(packet) - 20 + 8)
    value = zlib.crc32(whole) ^ 0x5354554E
    return whole + attribute(FINGERPRINT, struct.pack(">I", value))


def verifies_sha256(packet: bytes, key: bytes) -> bool:
    """Whether MESSAGE-INTEGRITY-SHA256 of a received message was made with this key."""
    at = 20
    while at + 4 <= len(packet):
        number, length = struct.unpack_from(">HH", packet, at)
        if number == MESSAGE_INTEGRITY_SHA256:
            covered = with_length(packet[:at], at - 20 + 4 + length)
            return hmac.digest(key, covered, "sha256")[:length] == packet[at + 4 : at + 4 + length]
        at += 4 + (length + 3 & ~3)
    return False


def md5_key(username: str, realm: str, password: str) -> bytes:
    """The long-term key under the MD5 password algorithm (RFC 8489 §18.5.1.1)."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode()).digest()


def sha256_key(username: str, realm: str, password: str) -> bytes:
    """The long-term key under the SHA-256 password algorithm (RFC 8489 §18.5.1.2)."""
    return hashlib.sha256(f"{username}:{realm}:{password}".encode()).digest()


def userhash(username: str, realm: str) -> bytes:
    """USERHASH (RFC 8489 §14.4)."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()
