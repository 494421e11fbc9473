"""Refresh (RFC 8656 §8.2): a longer life for an allocation, or its end."""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import ExtendAllocation
from ferryman.engine.ending import close
from ferryman.engine.journal import Ending, Refreshed
from ferryman.engine.lifetime import granted_lifetime, requested_lifetime
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.settings import SECOND
from ferryman.engine.state import Exchange, State
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_family_untrusted, encode_uint32


def refresh(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response; raises Refused or Malformed."""
    allocation = exchange.allocation_in(state)
    _check_family(exchange.message, allocation)
    requested = requested_lifetime(exchange.message)
    if requested == 0:
        close(state, allocation, Ending.REFRESHED_TO_ZERO, exchange.outcome, now=exchange.now)
        return ((Attribute.LIFETIME, encode_uint32(0)),)
    lifetime = granted_lifetime(requested, state.settings)
    _extend(state, exchange, allocation, lifetime)
    return ((Attribute.LIFETIME, encode_uint32(lifetime)),)


def _check_family(message: Message, allocation: Allocation) -> None:
    value = message.first(Attribute.REQUESTED_ADDRESS_FAMILY)
    if value is not None and decode_family_untrusted(value) != allocation.relayed.family:
        raise Refused(Refusal.REFRESH_FAMILY)


def _extend(state: State, exchange: Exchange, allocation: Allocation, lifetime: int) -> None:
    expires_at = exchange.now + lifetime * SECOND
    state.allocations.extend(allocation, expires_at=expires_at)
    exchange.outcome.changes.append(ExtendAllocation(allocation.number, expires_at))
    exchange.outcome.journal.append(
        Refreshed(allocation.five_tuple, allocation.number, allocation.username, lifetime)
    )
