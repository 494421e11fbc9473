"""Refresh (RFC 8656 §8.2): a longer life for an allocation, or its end; of a dual allocation also
for one of its two families. With a ticket, another 5-tuple for it (RFC 8016 §3.2.2)."""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import ExtendAllocation, ExtendRelayed
from ferryman.engine.ending import close, close_relayed
from ferryman.engine.grant import Grant
from ferryman.engine.journal import Ending, Refreshed
from ferryman.engine.lifetime import granted_lifetime, requested_lifetime
from ferryman.engine.mobility import move, ticketed
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.settings import SECOND
from ferryman.engine.state import Exchange, State
from ferryman.wire.address import Family
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_family_untrusted, encode_uint32


def refresh(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response; raises Refused or Malformed."""
    ticket = exchange.message.first(Attribute.MOBILITY_TICKET)
    allocation = (
        exchange.allocation_in(state) if ticket is None else ticketed(state, exchange, ticket)
    )
    families = _families(exchange.message, allocation, now=exchange.now)
    requested = requested_lifetime(exchange.message)
    allocation.grant = Grant.of(exchange.credential, now=exchange.now)
    if requested == 0:
        _end(state, exchange, allocation, families)
        return ((Attribute.LIFETIME, encode_uint32(0)),)
    lifetime = granted_lifetime(requested, state.settings, exchange.credential)
    renewed = () if ticket is None else move(state, exchange, allocation, ticket)
    _extend(state, exchange, allocation, families, lifetime)
    return ((Attribute.LIFETIME, encode_uint32(lifetime)), *renewed)


def _families(message: Message, allocation: Allocation, *, now: int) -> tuple[Family, ...]:
    """Those of the allocation's that the request means: all, or the one that it names."""
    live = allocation.families(now=now)
    value = message.first(Attribute.REQUESTED_ADDRESS_FAMILY)
    if value is None:
        return live
    number = decode_family_untrusted(value)
    if number not in live:
        raise Refused(Refusal.REFRESH_FAMILY, f"family 0x{number:02X}")
    return (Family(number),)


def _end(
    state: State, exchange: Exchange, allocation: Allocation, families: tuple[Family, ...]
) -> None:
    ending = Ending.REFRESHED_TO_ZERO
    if families == allocation.families(now=exchange.now):
        close(state, allocation, ending, exchange.outcome, now=exchange.now)
        return
    for family in families:
        close_relayed(state, allocation, family, ending, exchange.outcome)


def _extend(
    state: State,
    exchange: Exchange,
    allocation: Allocation,
    families: tuple[Family, ...],
    lifetime: int,
) -> None:
    expires_at = exchange.now + lifetime * SECOND
    state.allocations.extend(allocation, families, expires_at=expires_at)
    number = allocation.number
    exchange.outcome.changes += (
        [ExtendAllocation(number, expires_at)]
        if len(families) == len(allocation.relayed)
        else [ExtendRelayed(number, family, expires_at) for family in families]
    )
    exchange.outcome.journal.append(
        Refreshed(exchange.five_tuple, number, allocation.username, lifetime)
    )
