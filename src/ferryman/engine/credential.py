"""What a request claims, and what `auth` answers: the engine's question about keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Claim(NamedTuple):
    """A username that arrived with a fresh nonce; nothing about it is proved yet."""

    username: str


@dataclass(frozen=True, slots=True)
class Credential:
    """The long-term keys (RFC 8489 §9.2.2) that a username may prove itself with.

    Several keys while a shared secret is being rotated. `owner` is who the quota counts:
    the username without a time stamp. No keys: anonymous, under `no-auth` only.
    """

    username: str
    owner: str
    keys: tuple[bytes, ...] = field(repr=False)


class NoCredential(NamedTuple):
    """Nobody can prove this username; `reason` is for the operator's log."""

    reason: str


ANONYMOUS = Credential(username="", owner="", keys=())
