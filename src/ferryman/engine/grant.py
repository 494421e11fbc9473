"""What an access token leaves with an allocation (RFC 7635 §9): the session key of the requests
that follow, and until when.

Knows no token: `auth` opens them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.engine.credential import Claim, Credential, NoCredential
from ferryman.engine.settings import SECOND


@dataclass(frozen=True, slots=True)
class Grant:
    """A session key that came with an Allocate or Refresh; `expires_at` in ns."""

    kid: str
    owner: str
    keys: tuple[bytes, ...] = field(repr=False)
    expires_at: int

    @classmethod
    def of(cls, credential: Credential, *, now: int) -> Grant | None:
        """None for a credential that is not a third party's."""
        if credential.seconds_left is None:
            return None
        expires_at = now + credential.seconds_left * SECOND
        return cls(credential.username, credential.owner, credential.keys, expires_at)

    def credential(self, claim: Claim, *, now: int) -> Credential | NoCredential | None:
        """For a request without a token of its own; None when another key is meant."""
        if claim.token is not None or claim.username != self.kid:
            return None
        left = (self.expires_at - now) // SECOND
        if left < 1:
            return NoCredential("the access token has expired")
        return Credential(self.kid, self.owner, self.keys, (claim.algorithm,), seconds_left=left)
