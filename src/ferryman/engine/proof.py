"""Proving a claim (RFC 8489 §9.2.4): does MESSAGE-INTEGRITY match a key of the user's?

Nothing is spent on a request before this. Knows no method.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.engine.admission import Admitted, challenge
from ferryman.engine.credential import ANONYMOUS, Credential, NoCredential
from ferryman.engine.refusals import Refusal
from ferryman.engine.state import Outcome, Request, State


@dataclass(frozen=True, slots=True)
class Proved:
    """A request whose sender holds `key`; `key` is None under no-auth only."""

    request: Request
    credential: Credential
    key: bytes | None = field(repr=False)


def prove(
    state: State, admitted: Admitted, credential: Credential | NoCredential, *, now: int
) -> Proved | Outcome:
    """The proved request, or the 401 that settles it."""
    request = admitted.request
    if credential is ANONYMOUS:
        return Proved(request, ANONYMOUS, None)
    if isinstance(credential, NoCredential):
        username = admitted.claim.username if admitted.claim else ""
        return challenge(
            state,
            request,
            Refusal.UNKNOWN_USER,
            username=username,
            detail=credential.reason,
            now=now,
        )
    for key in credential.keys:
        if request.message.verifies(key):
            return Proved(request, credential, key)
    return challenge(state, request, Refusal.WRONG_PASSWORD, username=credential.username, now=now)
