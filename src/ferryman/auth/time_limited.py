"""Time-limited credentials from a shared secret (draft-uberti-behave-turn-rest-00).

The username carries a UNIX time, the password is an HMAC of the username. Knows the arithmetic,
not the clock.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from dataclasses import dataclass

_DIGITS = 15
"""Enough for any year a server will see; longer runs of digits are names."""


@dataclass(frozen=True, slots=True)
class TimeLimitedName:
    """A username that carries its own expiry: `expires` in UNIX seconds, `user` may be empty."""

    expires: int
    user: str


def read_username(username: str, separator: str = ":") -> TimeLimitedName | None:
    """From `timestamp:user`, `user:timestamp` or `timestamp`; None for any other name.

    Where both ends are numbers the first is the time, as coturn reads it. Only the first (or last)
    separator counts: Matrix sends `timestamp:@user:host`.
    """
    first, _, rest = username.partition(separator)
    if _is_time(first):
        return TimeLimitedName(int(first), rest)
    rest, _, last = username.rpartition(separator)
    if rest and _is_time(last):
        return TimeLimitedName(int(last), rest)
    return None


def password_for(username: str, secret: str) -> str:
    """Base64 of HMAC-SHA1 over the username, under the shared secret."""
    return b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


def _is_time(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS
