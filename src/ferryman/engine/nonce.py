"""Stateless nonces with RFC 8489's cookie (RFC 8489 §9.2): issuing one leaves nothing behind.

A nonce is the cookie, its time of issue, and an HMAC over both and the client's transport address:
it serves only the client that it was given to, and only with the features and the algorithms that
it was given with. Knows no user and no realm.
"""

from __future__ import annotations

import hmac
from binascii import Error, a2b_base64, b2a_base64
from typing import NamedTuple

from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.offer import Offer
from ferryman.engine.settings import SECOND
from ferryman.wire.registry import NONCE_COOKIE, SecurityFeature

_COOKIE_LENGTH = 13
_STAMP_LENGTH = 4
_SEAL_LENGTH = 10
_LENGTH = 32
_DECOY_LENGTH = 6
_OFFERS = (Offer.EITHER, Offer.MD5)
_SECONDS = 2**31
"""A nonce has so many seconds, and then they begin anew."""
SKEW = 60
"""Seconds that the clock of a server that shares the secret may be ahead."""


class Issued(NamedTuple):
    """A nonce of ours in the hands of the client that it was given to."""

    offer: Offer
    fresh: bool


class Nonces:
    """Issues and recognises nonces under one secret; `lifetime` in seconds, 0 for no expiry.

    `anonymous_usernames`: clients are told to send USERHASH in place of USERNAME. Servers with one
    secret take each other's nonces where `now` and `ahead`, in nanoseconds, add up to the same. The
    native gate makes the same nonces of `cookie`, `key` and `ahead`.
    """

    def __init__(
        self, secret: bytes, lifetime: int, *, anonymous_usernames: bool = False, ahead: int = 0
    ) -> None:
        self._secret = secret
        self.lifetime = lifetime
        self.ahead = ahead
        self._anonymous_usernames = anonymous_usernames
        features = int(SecurityFeature.PASSWORD_ALGORITHMS)
        if anonymous_usernames:
            features |= SecurityFeature.USERNAME_ANONYMITY
        self.cookie = NONCE_COOKIE + b2a_base64(features.to_bytes(3, "big"), newline=False)
        # With the cookie in the key, a nonce whose features were changed on the way is not ours.
        self.key = hmac.digest(secret, self.cookie, "sha256")

    def renewed(self, lifetime: int, *, anonymous_usernames: bool) -> Nonces:
        """The same secret, so that nonces that are out stay good, unless their features change."""
        return Nonces(
            self._secret, lifetime, anonymous_usernames=anonymous_usernames, ahead=self.ahead
        )

    def at(self, ahead: int) -> Nonces:
        """The same by another clock."""
        anonymous = self._anonymous_usernames
        return Nonces(self._secret, self.lifetime, anonymous_usernames=anonymous, ahead=ahead)

    def issue(self, client: FiveTuple, offer: Offer = Offer.EITHER, *, now: int) -> bytes:
        """32 characters: the cookie, and in base64 31 bits of seconds, 1 bit for the offer and
        80 bits of HMAC-SHA256."""
        stamp = (self._second(now) << 1 | (offer is Offer.MD5)).to_bytes(_STAMP_LENGTH, "big")
        seal = self._seal(stamp, client)[:_SEAL_LENGTH]
        return self.cookie + b2a_base64(stamp + seal, newline=False)[:-1]

    def decoy(self, client: FiveTuple, *, now: int) -> bytes:
        """8 characters that are no nonce of ours: always stale, where one of 32 has no room."""
        stamp = self._second(now).to_bytes(_STAMP_LENGTH, "big")
        return b2a_base64(self._seal(b"decoy" + stamp, client)[:_DECOY_LENGTH], newline=False)

    def read_untrusted(self, nonce: bytes, client: FiveTuple, *, now: int) -> Issued | None:
        """What the nonce was issued with, if we issued it to this client; None otherwise."""
        if len(nonce) != _LENGTH or not nonce.startswith(self.cookie):
            return None
        try:
            plain = a2b_base64(nonce[_COOKIE_LENGTH:] + b"=", strict_mode=True)
        except Error:
            return None
        stamp = plain[:_STAMP_LENGTH]
        if not hmac.compare_digest(plain[_STAMP_LENGTH:], self._seal(stamp, client)[:_SEAL_LENGTH]):
            return None
        number = int.from_bytes(stamp, "big")
        fresh = self.lifetime == 0 or self._age(number >> 1, now) < self.lifetime
        return Issued(_OFFERS[number & 1], fresh)

    def _second(self, now: int) -> int:
        return (now + self.ahead) // SECOND % _SECONDS

    def _age(self, second: int, now: int) -> int:
        age = (self._second(now) - second) % _SECONDS
        return age if age < _SECONDS - SKEW else 0

    def _seal(self, sealed: bytes, client: FiveTuple) -> bytes:
        transport, address, _, _ = client
        bound = b"%b%d,%d,%b" % (sealed, transport, address.port, address.ip)
        return hmac.digest(self.key, bound, "sha256")
