"""Where long-term keys come from: static users and shared secrets, both active together.

A `KeySource` answers for the names it knows; `Keys` asks them in turn. Both kinds here are plain
arithmetic, so an answer is immediate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from ferryman.auth.long_term import hashed_name, long_term_key
from ferryman.auth.time_limited import password_for, read_username
from ferryman.engine.credential import Claim, Credential, NoCredential
from ferryman.wire.registry import PasswordAlgorithm

KEYS_REMEMBERED = 1024
"""Time-limited names, each with an algorithm, whose keys are kept; names of strangers push out
one another."""


class KeySource(Protocol):
    def credential(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential | None:
        """The claim's credential; `NoCredential` when the name is known and of no use any more;
        None when the name means nothing to this source. `unix_time` in seconds."""


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """A static user's long-term keys; `sha256` None where only an MD5 key was configured."""

    md5: bytes = field(repr=False)
    sha256: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, username: str, realm: str, password: str) -> StaticKeys:
        return cls(
            long_term_key(username, realm, password, PasswordAlgorithm.MD5),
            long_term_key(username, realm, password, PasswordAlgorithm.SHA256),
        )

    def made_with(self, algorithm: PasswordAlgorithm) -> tuple[bytes, ...]:
        if algorithm is PasswordAlgorithm.MD5:
            return (self.md5,)
        return () if self.sha256 is None else (self.sha256,)

    @property
    def algorithms(self) -> tuple[PasswordAlgorithm, ...]:
        both = (PasswordAlgorithm.SHA256, PasswordAlgorithm.MD5)
        return both if self.sha256 is not None else both[1:]


class StaticUsers:
    """Users from the configuration, by username and by its hash (RFC 8489 §14.4)."""

    def __init__(self, users: Mapping[str, StaticKeys], realm: str) -> None:
        self._credentials = {
            (name, algorithm): Credential(
                name, name, keys.made_with(algorithm), algorithms=keys.algorithms
            )
            for name, keys in users.items()
            for algorithm in PasswordAlgorithm
        }
        self._names = {hashed_name(name, realm): name for name in users}

    def credential(self, claim: Claim, *, unix_time: float) -> Credential | None:
        username, userhash, algorithm, _ = claim
        if userhash is not None:
            found = self._names.get(userhash)
            if found is None:
                return None
            username = found
        return self._credentials.get((username, algorithm))


class SharedSecrets:
    """Time-limited usernames under one or more secrets, the newest first while they rotate.

    The keys of the names seen last are kept: each call asks a dozen times under one name. A name
    that is only hashed means nothing here: the time in it cannot be read (docs/decisions/0010).
    """

    def __init__(self, secrets: Sequence[str], realm: str, separator: str = ":") -> None:
        self._secrets = tuple(secrets)
        self._realm = realm
        self._separator = separator
        self._keys = lru_cache(KEYS_REMEMBERED)(self._make_keys)

    def credential(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential | None:
        username, userhash, algorithm, _ = claim
        if userhash is not None:
            return None
        name = read_username(username, self._separator)
        if name is None:
            return None
        if name.expires < unix_time:
            ago = int(unix_time - name.expires)
            return NoCredential(f"the time-limited credential expired {ago} s ago")
        return Credential(username, name.user or username, self._keys(username, algorithm))

    def _make_keys(self, username: str, algorithm: PasswordAlgorithm) -> tuple[bytes, ...]:
        passwords = (password_for(username, secret) for secret in self._secrets)
        return tuple(
            long_term_key(username, self._realm, password, algorithm) for password in passwords
        )


@dataclass(frozen=True, slots=True)
class Keys:
    """All sources, asked in order: a static user comes before a time-limited name."""

    sources: Sequence[KeySource]

    def resolve(self, claim: Claim, *, unix_time: float) -> Credential | NoCredential:
        for source in self.sources:
            found = source.credential(claim, unix_time=unix_time)
            if found is not None:
                return found
        if claim.userhash is not None:
            return NoCredential("no user of the configuration has this USERHASH")
        return NoCredential("no such user, and no time stamp in the name")
