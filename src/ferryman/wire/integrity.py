"""MESSAGE-INTEGRITY and FINGERPRINT arithmetic (RFC 8489 §14.5, §14.7).

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

_ATTRIBUTE_HEADER: Final = 4


def message_integrity(key: bytes, covered: bytes) -> bytes:
    """HMAC-SHA1 of a message up to, and without, its MESSAGE-INTEGRITY: 20 bytes.

    The length field in `covered` may hold anything: what is hashed counts up to the end of
    MESSAGE-INTEGRITY, as RFC 8489 §14.5 wants it.
    """
    length = len(covered) - HEADER_LENGTH + _ATTRIBUTE_HEADER + INTEGRITY_LENGTH
    return hmac.digest(key, covered[:2] + pack(">H", length) + covered[4:], "sha1")


def fingerprint_value(covered: bytes) -> int:
    """CRC-32 of a message up to, and without, its FINGERPRINT, whose length field counts it."""
    return crc32(covered) ^ FINGERPRINT_XOR
