"""Deciding a request whose claim has been resolved (RFC 8489 §9.2.4, RFC 8656).

`decide` asks nobody anything: the key, a relay port and the time are handed in. The rules of each
method live in the module named after it.
"""

from __future__ import annotations

from collections.abc import Callable

from ferryman.engine import allocate, channel_bind, create_permission, refresh
from ferryman.engine.admission import Admitted, challenge
from ferryman.engine.changes import Reply
from ferryman.engine.credential import ANONYMOUS, Credential, NoCredential
from ferryman.engine.ending import expire
from ferryman.engine.five_tuple import Transport
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.refusals import Refusal, Refused, unknown_attributes
from ferryman.engine.relay import RelayLease
from ferryman.engine.state import Exchange, Outcome, Request, State
from ferryman.wire.errors import Malformed
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_error

Attributes = tuple[tuple[int, bytes], ...]
Rules = Callable[[State, Exchange], Attributes]

_RULES: dict[int, tuple[Rules, frozenset[int]]] = {
    Method.ALLOCATE: (allocate.allocate, allocate.UNDERSTOOD),
    Method.REFRESH: (refresh.refresh, refresh.UNDERSTOOD),
    Method.CREATE_PERMISSION: (create_permission.create_permission, create_permission.UNDERSTOOD),
    Method.CHANNEL_BIND: (channel_bind.channel_bind, channel_bind.UNDERSTOOD),
}

_CREDENTIALS = frozenset(
    (Attribute.USERNAME, Attribute.REALM, Attribute.NONCE, Attribute.MESSAGE_INTEGRITY)
)


def decide(
    state: State,
    admitted: Admitted,
    credential: Credential | NoCredential,
    lease: RelayLease | Refusal | None = None,
    *,
    now: int,
) -> Outcome:
    """Reply, changes and journal for an admitted request.

    `lease` is a relay socket bound ahead of need (see `allocate.relay_need`), or the refusal that
    says why there is none; `lease_taken` in the outcome says whether an allocation holds it now.
    """
    request = admitted.request
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
    key = _proved_key(request, credential)
    if key is None and credential is not ANONYMOUS:
        return challenge(
            state, request, Refusal.WRONG_PASSWORD, username=credential.username, now=now
        )
    outcome = expire(state, now=now)
    exchange = Exchange(request, credential, lease, outcome, now)
    reply = _answer(state, exchange, key)
    outcome.changes.append(reply)
    if request.five_tuple.transport is Transport.UDP:
        state.answered.remember(request.five_tuple, request.packet, reply.message, now=now)
    return outcome


def _proved_key(request: Request, credential: Credential) -> bytes | None:
    return next((key for key in credential.keys if request.message.verifies(key)), None)


def _answer(state: State, exchange: Exchange, key: bytes | None) -> Reply:
    try:
        attributes = _apply_rules(state, exchange)
        message_class = MessageClass.SUCCESS
    except Refused as refused:
        attributes = _refusal_attributes(refused)
        message_class = MessageClass.ERROR
        exchange.outcome.journal.append(_entry(exchange, refused))
    message = exchange.message
    return Reply(
        exchange.five_tuple,
        encode(
            message_class,
            message.method,
            message.transaction_id,
            attributes,
            key=key,
            fingerprint=state.settings.fingerprint or message.has_fingerprint,
        ),
    )


def _apply_rules(state: State, exchange: Exchange) -> Attributes:
    rules, understood = _RULES[exchange.message.method]
    unknown = exchange.message.unknown_required(understood | _CREDENTIALS)
    if unknown:
        raise unknown_attributes(unknown)
    try:
        return rules(state, exchange)
    except Malformed as malformed:
        raise Refused(Refusal.MALFORMED_ATTRIBUTE, str(malformed)) from malformed


def _refusal_attributes(refused: Refused) -> Attributes:
    refusal = refused.refusal
    error = (Attribute.ERROR_CODE, encode_error(refusal.code, refusal.reason))
    return (error, *refused.attributes)


def _entry(exchange: Exchange, refused: Refused) -> RefusedRequest:
    return RefusedRequest(
        exchange.five_tuple,
        exchange.message.method,
        exchange.credential.username,
        refused.refusal,
        refused.detail,
    )
