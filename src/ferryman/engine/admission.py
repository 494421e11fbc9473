"""The first look at a request (RFC 8489 §9.2.4): pure, cheap, and it leaves nothing behind.

A request without credentials is shown realm, nonce and password algorithms; one with a fresh nonce
becomes a `Claim` whose key `auth` has to find. Knows no keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ferryman.engine.changes import Reply
from ferryman.engine.credential import Claim
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import Challenged, RefusedRequest, Silence, Unanswered
from ferryman.engine.offer import Offer
from ferryman.engine.refusals import Refusal
from ferryman.engine.state import Outcome, Request, State
from ferryman.engine.strangers import fits
from ferryman.wire.errors import Malformed
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import (
    MAX_USERNAME,
    USERHASH_LENGTH,
    Attribute,
    MessageClass,
    Method,
    PasswordAlgorithm,
)
from ferryman.wire.values import decode_text_untrusted, encode_error

METHODS = frozenset(
    (
        Method.BINDING,
        Method.ALLOCATE,
        Method.REFRESH,
        Method.CREATE_PERMISSION,
        Method.CHANNEL_BIND,
        Method.CONNECT,
        Method.CONNECTION_BIND,
    )
)

# Plain ints: hashing an enum member costs more than looking up an int.
_USERNAME = int(Attribute.USERNAME)
_USERHASH = int(Attribute.USERHASH)
_REALM = int(Attribute.REALM)
_NONCE = int(Attribute.NONCE)
_INTEGRITY = int(Attribute.MESSAGE_INTEGRITY)
_INTEGRITY_SHA256 = int(Attribute.MESSAGE_INTEGRITY_SHA256)
_ALGORITHM = int(Attribute.PASSWORD_ALGORITHM)
_ACCESS_TOKEN = int(Attribute.ACCESS_TOKEN)
_THIRD_PARTY = int(Attribute.THIRD_PARTY_AUTHORIZATION)
_ALGORITHMS = int(Attribute.PASSWORD_ALGORITHMS)
_MD5 = PasswordAlgorithm.MD5


class Admitted(NamedTuple):
    """The request may be decided once the claim is resolved; no claim where no-auth is set.

    `offer` is what its nonce was issued with; `algorithm_named` whether it carried
    PASSWORD-ALGORITHM, as clients of RFC 5389 never do.
    """

    request: Request
    claim: Claim | None
    offer: Offer = Offer.EITHER
    algorithm_named: bool = False


def admit(state: State, five_tuple: FiveTuple, packet: bytes, *, now: int) -> Admitted | Outcome:
    """What to do with bytes from a stranger: an `Outcome` settles them here.

    Bytes that are no request of ours are dropped without an answer (RFC 8489 §6.3): the outcome
    is empty.
    """
    repeated = state.answered.answer_to(five_tuple, packet, now=now)
    if repeated is not None:
        return Outcome(changes=[Reply(five_tuple, repeated)])
    try:
        message = decode_untrusted(packet)
    except Malformed:
        return Outcome()
    if message.message_class is not MessageClass.REQUEST or message.method not in METHODS:
        return Outcome()
    if state.settings.stun_only and message.method != Method.BINDING:
        return Outcome()
    request = Request(five_tuple, packet, message)
    if not state.settings.authenticated:
        return Admitted(request, claim=None)
    return _claim(state, request, now=now)


def _claim(state: State, request: Request, *, now: int) -> Admitted | Outcome:
    """The checks of RFC 8489 §9.2.4 that need no key; the nonce before the rest
    (docs/decisions/0007)."""
    found = dict(reversed(request.message.attributes))  # of a type that is there twice, the first
    if _INTEGRITY not in found and _INTEGRITY_SHA256 not in found:
        return challenge(state, request, Refusal.NO_INTEGRITY, now=now)
    nonce = found.get(_NONCE)
    if nonce is None or _REALM not in found or not (_USERNAME in found or _USERHASH in found):
        return _refuse(state, request, Refusal.INCOMPLETE_CREDENTIALS, now=now)
    issued = state.nonces.read_untrusted(nonce, request.five_tuple, now=now)
    if issued is None:
        return challenge(state, request, Refusal.STALE_NONCE, now=now)
    algorithm = _algorithm(found, issued.offer)
    if isinstance(algorithm, Refusal):
        return _refuse(state, request, algorithm, now=now)
    if not issued.fresh:
        return challenge(state, request, Refusal.STALE_NONCE, offer=issued.offer, now=now)
    token = found.get(_ACCESS_TOKEN) if state.settings.third_party else None
    try:
        claim = _claimed_untrusted(found, algorithm, token)
    except Malformed:
        return _refuse(state, request, Refusal.MALFORMED_ATTRIBUTE, now=now)
    return Admitted(request, claim, issued.offer, _ALGORITHM in found)


def _algorithm(found: dict[int, bytes], offer: Offer) -> PasswordAlgorithm | Refusal:
    """The three conditions under which PASSWORD-ALGORITHM counts (RFC 8489 §9.2.4).

    Every nonce of ours has the "Password algorithms" bit, so they always apply.
    """
    named, echoed = found.get(_ALGORITHM), found.get(_ALGORITHMS)
    if named is None and echoed is None:
        return _MD5
    if named is None or echoed is None:
        return Refusal.ALGORITHM_WITHOUT_LIST
    if echoed != offer.encoded:
        return Refusal.OTHER_LIST
    return offer.algorithm(named) or Refusal.ALGORITHM_NOT_OFFERED


def _claimed_untrusted(
    found: dict[int, bytes], algorithm: PasswordAlgorithm, token: bytes | None
) -> Claim:
    """USERNAME where it is there, else USERHASH (RFC 8489 §14.4)."""
    username = found.get(_USERNAME)
    if username is not None:
        return Claim(decode_text_untrusted(username, MAX_USERNAME), None, algorithm, token)
    userhash = found[_USERHASH]
    if len(userhash) != USERHASH_LENGTH:
        raise Malformed("USERHASH is not 32 octets")
    return Claim("", userhash, algorithm, token)


def challenge(
    state: State,
    request: Request,
    refusal: Refusal,
    *,
    offer: Offer = Offer.EITHER,
    username: str = "",
    detail: str = "",
    now: int,
) -> Outcome:
    """401 or 438 with realm, a fresh nonce and the algorithms that it goes with.

    No reason phrase, to stay small (see `_error`). Where even so the answer would be over four
    times the request, it is one with a decoy for a nonce, which the client will find stale; and
    where that does not fit either there is no answer.
    """
    method = request.message.method
    if not _may_answer(state, request, now=now):
        return silent(request, Silence.TOO_MANY)
    reply = _fitting(state, request, refusal, offer, now=now)
    if reply is None:
        return silent(request, Silence.TOO_SMALL)
    if refusal in (Refusal.NO_INTEGRITY, Refusal.STALE_NONCE):
        return Outcome([reply], [Challenged(request.five_tuple, method, refusal)])
    entry = RefusedRequest(request.five_tuple, method, username, refusal, detail)
    return Outcome([reply], [entry])


def _fitting(
    state: State, request: Request, refusal: Refusal, offer: Offer, *, now: int
) -> Reply | None:
    """The fullest challenge that the request leaves room for, None where it leaves none."""
    for attributes in _challenges(state, request, offer, now=now):
        reply = _error(state, request, refusal, *attributes)
        if fits(reply.message, request.packet, request.five_tuple.transport):
            return reply
    return None


def _challenges(
    state: State, request: Request, offer: Offer, *, now: int
) -> Iterator[tuple[tuple[int, bytes], ...]]:
    """What a challenge may hold, the fullest first. Where access tokens are taken it says so
    (RFC 7635 §5): without that a client does not know that it needs one."""
    realm = (_REALM, state.settings.realm.encode())
    name = state.settings.third_party.encode()
    third_party = ((_THIRD_PARTY, name),) if name else ()
    nonce = state.nonces.issue(request.five_tuple, offer, now=now)
    yield (realm, (_NONCE, nonce), (_ALGORITHMS, offer.encoded), *third_party)
    decoy = state.nonces.decoy(request.five_tuple, now=now)
    if third_party:
        yield (realm, (_NONCE, decoy), *third_party)
    yield (realm, (_NONCE, decoy))


def _refuse(state: State, request: Request, refusal: Refusal, *, now: int) -> Outcome:
    if not _may_answer(state, request, now=now):
        return silent(request, Silence.TOO_MANY)
    entry = RefusedRequest(request.five_tuple, request.message.method, "", refusal, "")
    return Outcome([_error(state, request, refusal)], [entry])


def _may_answer(state: State, request: Request, *, now: int) -> bool:
    per_second = state.settings.unauthorized_per_second
    return state.strangers.may_be_answered(request.five_tuple, per_second, now=now)


def silent(request: Request, silence: Silence) -> Outcome:
    """No answer, and an entry that says why."""
    return Outcome([], [Unanswered(request.five_tuple, request.message.method, silence)])


def _error(
    state: State, request: Request, refusal: Refusal, *attributes: tuple[int, bytes]
) -> Reply:
    """An unauthenticated error response. Strangers get no reason phrase: with a forged source
    address every octet of it would be an octet of amplification."""
    message = request.message
    return Reply(
        request.five_tuple,
        encode(
            MessageClass.ERROR,
            message.method,
            message.transaction_id,
            ((Attribute.ERROR_CODE, encode_error(refusal.code)), *attributes),
            fingerprint=state.settings.fingerprint or message.has_fingerprint,
        ),
    )
