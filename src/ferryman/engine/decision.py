"""Deciding a proved request (RFC 8656): known attributes, the method's rules, the answer.

`decide` asks nobody anything: the key, a relay port and the time are handed in. The rules of each
method live in the module named after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ferryman.engine import (
    allocate,
    binding,
    channel_bind,
    connect,
    connection_bind,
    create_permission,
    handover,
    refresh,
)
from ferryman.engine.changes import Reply
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.origin import check_origin
from ferryman.engine.proof import Proved
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.reply import reply
from ferryman.engine.state import Exchange, Leases, Outcome, State
from ferryman.wire.errors import Malformed
from ferryman.wire.registry import UNDERSTOOD, Attribute, MessageClass, Method
from ferryman.wire.values import encode_error, encode_types

Attributes = tuple[tuple[int, bytes], ...]
Rules = Callable[[State, Exchange], Attributes | None]
"""Attributes of the success response; None where the answer comes later."""

_RULES: dict[int, Rules] = {
    Method.BINDING: binding.binding,
    Method.ALLOCATE: allocate.allocate,
    Method.REFRESH: refresh.refresh,
    Method.CREATE_PERMISSION: create_permission.create_permission,
    Method.CHANNEL_BIND: channel_bind.channel_bind,
    Method.CONNECT: connect.connect,
    Method.CONNECTION_BIND: connection_bind.connection_bind,
}

_UNDERSTOOD = {method: UNDERSTOOD[Method(method)] for method in _RULES}
_UNDERSTOOD_WITHOUT_TOKENS = {
    method: known - {Attribute.ACCESS_TOKEN} for method, known in _UNDERSTOOD.items()
}


def decide(
    state: State,
    proved: Proved,
    leases: Leases = (),
    *,
    now: int,
) -> Outcome:
    """Reply, changes and journal for a proved request.

    `leases`: for each of `allocate.relay_needs` a relay socket bound ahead of need, or the refusal
    that says why there is none; `taken` in the outcome names those that an allocation holds now.
    """
    request = proved.request
    outcome = Outcome()
    exchange = Exchange(request, proved.credential, leases, outcome, now, proved.key, proved.sha256)
    answer = _answer(state, exchange)
    _note_arrival(state, exchange)
    if answer is None:
        return outcome
    outcome.changes.append(answer)
    if not request.five_tuple.transport.is_stream:
        state.answered.remember(request.five_tuple, request.packet, answer.message, now=now)
    return outcome


def _note_arrival(state: State, exchange: Exchange) -> None:
    """A proved request on the path that a client moves to shows that it is there: one that only
    listens would otherwise hear nothing for as long as it says nothing. The Refresh that begins
    the move, with a ticket, does not: it may be repeated before its answer has arrived."""
    allocation = state.allocations.of(exchange.five_tuple, now=exchange.now)
    if allocation is None or allocation.mobile.next_path != exchange.five_tuple:
        return
    begins = exchange.message.first(Attribute.MOBILITY_TICKET) is not None
    if exchange.owns(allocation) and not begins:
        handover.finish(state, allocation, exchange.outcome)


def _answer(state: State, exchange: Exchange) -> Reply | None:
    try:
        attributes = _apply_rules(state, exchange)
        if attributes is None:
            return None
        message_class = MessageClass.SUCCESS
    except Refused as refused:
        attributes = _refusal_attributes(refused)
        message_class = MessageClass.ERROR
        exchange.outcome.journal.append(_entry(exchange, refused))
    message = exchange.message
    return reply(
        exchange.five_tuple,
        message_class,
        message.method,
        message.transaction_id,
        attributes,
        key=exchange.key,
        sha256=exchange.sha256,
        software=state.settings.software,
        fingerprint=state.settings.fingerprint or message.has_fingerprint,
    )


def _apply_rules(state: State, exchange: Exchange) -> Attributes | None:
    method = exchange.message.method
    understood = _UNDERSTOOD if state.settings.third_party else _UNDERSTOOD_WITHOUT_TOKENS
    unknown = exchange.message.unknown_required(understood[method])
    if unknown:
        raise _unknown_attributes(unknown)
    if state.settings.origin_consistency:
        _check_origin(state, exchange)
    try:
        return _RULES[method](state, exchange)
    except Malformed as malformed:
        raise Refused(Refusal.MALFORMED_ATTRIBUTE, str(malformed)) from malformed


def _check_origin(state: State, exchange: Exchange) -> None:
    allocation = state.allocations.of(exchange.five_tuple, now=exchange.now)
    if allocation is not None and exchange.owns(allocation):
        check_origin(allocation, exchange.message)


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


def _unknown_attributes(types: Iterable[int]) -> Refused:
    """A 420 that names them in UNKNOWN-ATTRIBUTES (RFC 8489 §14.13)."""
    listed = tuple(types)
    return Refused(
        Refusal.UNKNOWN_ATTRIBUTE,
        ", ".join(f"0x{number:04X}" for number in listed),
        ((Attribute.UNKNOWN_ATTRIBUTES, encode_types(listed)),),
    )
