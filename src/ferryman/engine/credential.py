"""What a request claims, and what `auth` answers: the engine's question about keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ferryman.wire.registry import PasswordAlgorithm


class Claim(NamedTuple):
    """A name that arrived with a fresh nonce; nothing about it is proved yet.

    `userhash` (32 octets) stands in place of the username where it is there (RFC 8489 §14.4).
    `algorithm` is what the asked-for key is to be made with. With an ACCESS-TOKEN in `token` the
    username is the kid of the key that sealed it (RFC 7635 §7).
    """

    username: str
    userhash: bytes | None = None
    algorithm: PasswordAlgorithm = PasswordAlgorithm.MD5
    token: bytes | None = None

    def __repr__(self) -> str:
        return f"<Claim of {self.username!r}>"


@dataclass(frozen=True, slots=True)
class Credential:
    """The long-term keys (RFC 8489 §9.2.2) that a name may prove itself with, made with the
    claim's algorithm.

    Several keys while a shared secret is being rotated. `algorithms`: those that a key of this
    user can be made with; where the claim's is not among them there are no keys. `owner` is who
    the quota counts: the username without a time stamp. No keys and no username: anonymous, under
    `no-auth` only. `seconds_left` is there for a third party's alone: how long its access token
    is still good, one second at least.
    """

    username: str
    owner: str
    keys: tuple[bytes, ...] = field(repr=False)
    algorithms: tuple[PasswordAlgorithm, ...] = (PasswordAlgorithm.SHA256, PasswordAlgorithm.MD5)
    seconds_left: int | None = None

    @property
    def is_third_party(self) -> bool:
        """Whether an access token stands behind it (RFC 7635)."""
        return self.seconds_left is not None


class NoCredential(NamedTuple):
    """Nobody can prove this username; `reason` is for the operator's log."""

    reason: str


ANONYMOUS = Credential(username="", owner="", keys=())
