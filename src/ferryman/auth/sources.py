"""Where long-term keys come from: static users and shared secrets, both active together.

A `KeySource` answers for the names it knows; `Keys` asks them in turn. Both kinds here are plain
arithmetic, so an answer is immediate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from ferryman.auth.long_term import long_term_key
from ferryman.auth.time_limited import password_for, read_username
from ferryman.engine.credential import Claim, Credential, NoCredential

KEYS_REMEMBERED = 1024
"""Time-limited names whose keys are kept; names of strangers push out one another."""


class KeySource(Protocol):
    def credential(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential | None:
        """The claim's credential; `NoCredential` when the name is known and of no use any more;
        None when the name means nothing to this source. `unix_time` in seconds."""


@dataclass(frozen=True, slots=True)
class StaticUsers:
    """Users from the configuration: username to long-term key (16 octets)."""

    keys: Mapping[str, bytes] = field(repr=False)

    def credential(self, claim: Claim, *, unix_time: float) -> Credential | None:
        key = self.keys.get(claim.username)
        return None if key is None else Credential(claim.username, claim.username, (key,))


class SharedSecrets:
    """Time-limited usernames under one or more secrets, the newest first while they rotate.

    The keys of the names seen last are kept: each call asks a dozen times under one name.
    """

    def __init__(self, secrets: Sequence[str], realm: str, separator: str = ":") -> None:
        self._secrets = tuple(secrets)
        self._realm = realm
        self._separator = separator
        self._keys = lru_cache(KEYS_REMEMBERED)(self._make_keys)

    def credential(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential | None:
        name = read_username(claim.username, self._separator)
        if name is None:
            return None
        if name.expires < unix_time:
            ago = int(unix_time - name.expires)
            return NoCredential(f"the time-limited credential expired {ago} s ago")
        return Credential(claim.username, name.user or claim.username, self._keys(claim.username))

    def _make_keys(self, username: str) -> tuple[bytes, ...]:
        passwords = (password_for(username, secret) for secret in self._secrets)
        return tuple(long_term_key(username, self._realm, password) for password in passwords)


@dataclass(frozen=True, slots=True)
class Keys:
    """All sources, asked in order: a static user comes before a time-limited name."""

    sources: Sequence[KeySource]

    def resolve(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential:
        for source in self.sources:
            found = source.credential(claim, unix_time=unix_time)
            if found is not None:
                return found
        return NoCredential("no such user, and no time stamp in the name")
