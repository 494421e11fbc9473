"""Long-term keys and hashed names (RFC 8489 §9.2.2, §14.4, §18.5): what becomes of a password.

Takes text that OpaqueString has been applied to already (see `opaque_string`).
"""

from __future__ import annotations

import hashlib

from ferryman.wire.registry import PasswordAlgorithm


def long_term_key(
    username: str,
    realm: str,
    password: str,
    algorithm: PasswordAlgorithm = PasswordAlgorithm.MD5,
) -> bytes:
    """The hash of `username:realm:password`: 16 octets of MD5, as every RFC 5389 client computes
    it, or 32 of SHA-256."""
    text = f"{username}:{realm}:{password}".encode()
    if algorithm is PasswordAlgorithm.SHA256:
        return hashlib.sha256(text).digest()
    return hashlib.md5(text, usedforsecurity=False).digest()


def hashed_name(username: str, realm: str) -> bytes:
    """USERHASH: 32 octets (RFC 8489 §14.4)."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()
