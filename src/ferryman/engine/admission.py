"""The first look at a request (RFC 8489 §9.2.4): pure, cheap, and it leaves nothing behind.

A request without credentials is shown realm and nonce; one with a fresh nonce becomes a `Claim`
whose key `auth` has to find. Knows no keys.
"""

from __future__ import annotations

from typing import NamedTuple

from ferryman.engine.changes import Reply
from ferryman.engine.credential import Claim
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import Challenged, RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.state import Outcome, Request, State
from ferryman.wire.errors import Malformed
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import MAX_USERNAME, Attribute, MessageClass, Method
from ferryman.wire.values import decode_text_untrusted, encode_error

METHODS = frozenset(
    (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND)
)


class Admitted(NamedTuple):
    """The request may be decided once the claim is resolved; no claim where no-auth is set."""

    request: Request
    claim: Claim | None


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
    request = Request(five_tuple, packet, message)
    if not state.settings.authenticated:
        return Admitted(request, claim=None)
    return _claim(state, request, now=now)


def _claim(state: State, request: Request, *, now: int) -> Admitted | Outcome:
    message = request.message
    if message.first(Attribute.MESSAGE_INTEGRITY) is None:
        return challenge(state, request, Refusal.NO_INTEGRITY, now=now)
    username = message.first(Attribute.USERNAME)
    nonce = message.first(Attribute.NONCE)
    if username is None or nonce is None or message.first(Attribute.REALM) is None:
        return _refuse(state, request, Refusal.INCOMPLETE_CREDENTIALS)
    if not state.nonces.is_fresh(nonce, request.five_tuple, now=now):
        return challenge(state, request, Refusal.STALE_NONCE, now=now)
    try:
        claimed = decode_text_untrusted(username, MAX_USERNAME)
    except Malformed:
        return _refuse(state, request, Refusal.MALFORMED_ATTRIBUTE)
    return Admitted(request, Claim(claimed))


def challenge(
    state: State,
    request: Request,
    refusal: Refusal,
    *,
    username: str = "",
    detail: str = "",
    now: int,
) -> Outcome:
    """401 or 438 with realm and a fresh nonce; no reason phrase, to stay small (see `_error`)."""
    attributes = (
        (Attribute.REALM, state.settings.realm.encode()),
        (Attribute.NONCE, state.nonces.issue(request.five_tuple, now=now)),
    )
    reply = _error(state, request, refusal, attributes)
    method = request.message.method
    if refusal in (Refusal.NO_INTEGRITY, Refusal.STALE_NONCE):
        return Outcome([reply], [Challenged(request.five_tuple, method, refusal)])
    entry = RefusedRequest(request.five_tuple, method, username, refusal, detail)
    return Outcome([reply], [entry])


def _refuse(state: State, request: Request, refusal: Refusal) -> Outcome:
    entry = RefusedRequest(request.five_tuple, request.message.method, "", refusal, "")
    return Outcome([_error(state, request, refusal, ())], [entry])


def _error(
    state: State, request: Request, refusal: Refusal, attributes: tuple[tuple[int, bytes], ...]
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
