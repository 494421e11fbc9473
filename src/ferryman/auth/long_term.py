"""Long-term keys (RFC 8489 §9.2.2): what a password becomes before it is used."""

from __future__ import annotations

import hashlib


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """MD5 of `username:realm:password`, 16 octets, as every RFC 5389 client computes it."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()
