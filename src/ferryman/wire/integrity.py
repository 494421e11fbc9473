"""MESSAGE-INTEGRITY, its SHA-256 sibling and FINGERPRINT: the arithmetic (RFC 8489 §14.5 to §14.7).

Does not know where a key comes from, nor whether one is due.
"""

from __future__ import annotations

import hmac
from struct import pack
from typing import Final
from zlib import crc32

from ferryman.wire.registry import FINGERPRINT_XOR, HEADER_LENGTH

INTEGRITY_LENGTH: Final = 20
"""Bytes of HMAC-SHA1."""

SHA256_LENGTH: Final = 32
"""Bytes of HMAC-SHA256."""

SHA256_LENGTHS: Final = range(16, SHA256_LENGTH + 1, 4)
"""Bytes that MESSAGE-INTEGRITY-SHA256 may be cut down to, where the usage allows it (§14.6)."""

_ATTRIBUTE_HEADER: Final = 4


def message_integrity(key: bytes, covered: bytes) -> bytes:
    """HMAC-SHA1 of a message up to, and without, its MESSAGE-INTEGRITY: 20 bytes.

    The length field in `covered` may hold anything: what is hashed counts up to the end of
    MESSAGE-INTEGRITY, as RFC 8489 §14.5 wants it.
    """
    return hmac.digest(key, _counting(covered, INTEGRITY_LENGTH), "sha1")


def message_integrity_sha256(key: bytes, covered: bytes, length: int = SHA256_LENGTH) -> bytes:
    """The first `length` bytes of HMAC-SHA256 of a message up to its MESSAGE-INTEGRITY-SHA256.

    As with `message_integrity`, the length field in `covered` may hold anything (RFC 8489 §14.6).
    """
    return hmac.digest(key, _counting(covered, length), "sha256")[:length]


def _counting(covered: bytes, value: int) -> bytes:
    """`covered` with a length field that counts a value of so many bytes behind it."""
    length = len(covered) - HEADER_LENGTH + _ATTRIBUTE_HEADER + value
    return covered[:2] + pack(">H", length) + covered[4:]


def fingerprint_value(covered: bytes) -> int:
    """CRC-32 of a message up to, and without, its FINGERPRINT, whose length field counts it."""
    return crc32(covered) ^ FINGERPRINT_XOR
