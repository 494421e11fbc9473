"""Stateless nonces (RFC 8489 §9.2): issuing one leaves nothing behind.

A nonce is its time of issue and an HMAC over that time and the client's transport address, so it
serves only the client that it was given to. Knows no user and no realm.
"""

from __future__ import annotations

import hmac
from binascii import Error, a2b_base64, b2a_base64

from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.settings import SECOND

_LENGTH = 20
_SEAL = 11


class Nonces:
    """Issues and recognises nonces under one secret; `lifetime` in seconds, 0 for no expiry."""

    def __init__(self, secret: bytes, lifetime: int) -> None:
        self._secret = secret
        self._lifetime = lifetime

    def issue(self, client: FiveTuple, *, now: int) -> bytes:
        """20 characters of base64: 32 bits of seconds and 88 bits of HMAC-SHA256."""
        issued = (now // SECOND).to_bytes(4, "big")
        return b2a_base64(issued + self._seal(issued, client), newline=False)

    def is_fresh(self, nonce: bytes, client: FiveTuple, *, now: int) -> bool:
        """Whether the nonce was issued to this client no longer than `lifetime` ago."""
        if len(nonce) != _LENGTH:
            return False
        try:
            plain = a2b_base64(nonce, strict_mode=True)
        except Error:
            return False
        issued = plain[:4]
        if not hmac.compare_digest(plain[4:], self._seal(issued, client)):
            return False
        age = now // SECOND - int.from_bytes(issued, "big")
        return self._lifetime == 0 or age < self._lifetime

    def _seal(self, issued: bytes, client: FiveTuple) -> bytes:
        transport, address, _, _ = client
        bound = b"%b%d,%d,%b" % (issued, transport, address.port, address.ip)
        return hmac.digest(self._secret, bound, "sha256")[:_SEAL]
