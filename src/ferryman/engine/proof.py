"""Proving a claim (RFC 8489 §9.2.4): does the request's integrity match a key of the user's?

Nothing is spent on a request before this. Knows no method.
"""

from __future__ import annotations

from typing import NamedTuple

from ferryman.engine.admission import Admitted, challenge, silent
from ferryman.engine.allocation import Allocation
from ferryman.engine.credential import ANONYMOUS, Credential, NoCredential
from ferryman.engine.journal import Silence
from ferryman.engine.offer import Offer
from ferryman.engine.refusals import Refusal
from ferryman.engine.state import Outcome, Request, State
from ferryman.wire.registry import Attribute, Method, PasswordAlgorithm

_SHA256 = PasswordAlgorithm.SHA256
_NOBODYS_KEY = bytes(16)
"""An unknown name costs what a known one costs: the time of a 401 does not tell them apart."""


class Proved(NamedTuple):
    """A request whose sender holds `key`; `key` is None under no-auth only.

    `sha256`: the answer carries MESSAGE-INTEGRITY-SHA256 in place of MESSAGE-INTEGRITY.
    """

    request: Request
    credential: Credential
    key: bytes | None
    sha256: bool = False

    def __repr__(self) -> str:
        return f"<Proved {self.request.message!r} by {self.credential.username!r}>"


def prove(
    state: State, admitted: Admitted, credential: Credential | NoCredential, *, now: int
) -> Proved | Outcome:
    """The proved request, or the 401 or 438 that settles it."""
    request, claim = admitted.request, admitted.claim
    credential = _granted_before(state, admitted, now=now) or credential
    if claim is None or credential is ANONYMOUS:
        return Proved(request, ANONYMOUS, None)
    message = request.message
    # Where both integrity attributes are there, the stronger one counts (RFC 8489 §9.2.4).
    verifies = message.verifies_sha256 if message.has_sha256 else message.verifies
    if isinstance(credential, NoCredential):
        verifies(_NOBODYS_KEY)
        refusal = Refusal.UNKNOWN_USER if claim.token is None else Refusal.BAD_ACCESS_TOKEN
        return _wrong(state, request, refusal, claim.username, credential.reason, now=now)
    if _SHA256 in credential.algorithms:
        if admitted.offer is not Offer.EITHER:
            return _stale(state, request, credential, Refusal.BID_DOWN, Offer.EITHER, now=now)
    elif claim.algorithm is _SHA256:
        return _stale(state, request, credential, Refusal.MD5_KEY_ONLY, Offer.MD5, now=now)
    for key in credential.keys:
        if verifies(key):
            # A session key comes without an algorithm's name.
            named = admitted.algorithm_named
            sha256 = message.has_sha256 if credential.is_third_party else named
            return Proved(request, credential, key, sha256)
    return _wrong(state, request, Refusal.WRONG_PASSWORD, credential.username, "", now=now)


def _wrong(
    state: State, request: Request, refusal: Refusal, username: str, detail: str, *, now: int
) -> Outcome:
    """A 401 once more, unless its source has heard too many: whoever guesses is not told that a
    guess was wrong for ever. A password that is right is always taken."""
    per_second = state.settings.unauthorized_per_second
    if not state.guessers.may_hear_it_was_wrong(request.five_tuple, per_second, now=now):
        return silent(request, Silence.TOO_MANY)
    return challenge(state, request, refusal, username=username, detail=detail, now=now)


def _granted_before(
    state: State, admitted: Admitted, *, now: int
) -> Credential | NoCredential | None:
    """What an earlier access token left with the request's allocation (RFC 7635 §9)."""
    request = admitted.request
    allocation = state.allocations.of(request.five_tuple, now=now)
    if allocation is None and request.message.method == Method.CONNECTION_BIND:
        allocation = _waiting_for(state, request, now=now)
    if allocation is None or allocation.grant is None or admitted.claim is None:
        return None
    return allocation.grant.credential(admitted.claim, now=now)


def _waiting_for(state: State, request: Request, *, now: int) -> Allocation | None:
    """Whose connection a ConnectionBind names; its 5-tuple is another (RFC 6062 §4.3)."""
    value = request.message.first(Attribute.CONNECTION_ID)
    connection = None if value is None else state.peer_connections.pending(value, now=now)
    return None if connection is None else connection.allocation


def _stale(
    state: State,
    request: Request,
    credential: Credential,
    refusal: Refusal,
    offer: Offer,
    *,
    now: int,
) -> Outcome:
    """A nonce whose list of algorithms is not this user's: 438, with one whose list is."""
    return challenge(state, request, refusal, offer=offer, username=credential.username, now=now)
