"""Third-party authorization (RFC 7635 §7): an access token in place of a password.

USERNAME says which long-term key sealed the token; the session key inside it proves the request.
Knows no request and no allocation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from ferryman.auth.access_token import AccessToken, TokenKey, decode_access_token_untrusted
from ferryman.engine.credential import Claim, Credential, NoCredential
from ferryman.wire.errors import Malformed

DELTA: Final = 5
"""Seconds of allowance for clocks that differ and packets that travel (RFC 7635 §7)."""


SHA1_KEY: Final = 20
"""Bytes of a session key for HMAC-SHA1 (RFC 7635 §6.2)."""

COTURN_KEY: Final = 16


class TokenKeys(Protocol):
    """Where long-term keys are known; answers at once, from memory."""

    def key(self, kid: str) -> TokenKey | None: ...


class ListedKeys:
    """Keys that do not change; of a kid that is there twice the last one counts."""

    def __init__(self, keys: Iterable[TokenKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    def key(self, kid: str) -> TokenKey | None:
        return self._keys.get(kid)


class ThirdParty:
    """Credentials from access tokens for the server of this name; the first source that knows a
    kid counts. A claim without a token means nothing here."""

    def __init__(self, sources: Sequence[TokenKeys], server_name: str) -> None:
        self._sources = tuple(sources)
        self._server_name = server_name

    def credential(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential | None:
        if claim.token is None:
            return None
        key = self._key(claim.username)
        if key is None:
            return NoCredential("no long-term key has this kid")
        if key.expires is not None and key.expires + DELTA <= unix_time:
            ago = int(unix_time - key.expires)
            return NoCredential(f"the long-term key with this kid expired {ago} s ago")
        try:
            token = decode_access_token_untrusted(claim.token, key, self._server_name)
        except Malformed as malformed:
            return NoCredential(str(malformed))
        return _granted(claim, token, unix_time=unix_time)

    def _key(self, kid: str) -> TokenKey | None:
        found = (source.key(kid) for source in self._sources)
        return next((key for key in found if key is not None), None)


def _granted(claim: Claim, token: AccessToken, *, unix_time: float) -> Credential | NoCredential:
    """RFC 7635 §7: `lifetime + Delta > abs(now - timestamp)`, and what is left is the most that
    an allocation may be granted."""
    left = int(token.lifetime + DELTA - abs(unix_time - token.timestamp))
    if left < 1:
        return NoCredential("the access token has expired, or the clocks differ")
    return Credential(
        claim.username,
        _owner(claim.username, token.mac_key),
        _keys(token.mac_key),
        (claim.algorithm,),
        seconds_left=left,
    )


def _keys(mac_key: bytes) -> tuple[bytes, ...]:
    """The session key, and what coturn and its clients make of one for HMAC-SHA1: its first 16
    bytes (docs/decisions/0011)."""
    if len(mac_key) == SHA1_KEY:
        return (mac_key, mac_key[:COTURN_KEY])
    return (mac_key,)


def _owner(kid: str, mac_key: bytes) -> str:
    """Whom the quota counts: nothing in a token names a person, so it is the token itself."""
    return f"{kid}#{hashlib.sha256(mac_key).hexdigest()[:16]}"
