"""Allocate (RFC 8656 §7.2): the checks in the RFC's order, then the allocation."""

from __future__ import annotations

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import OpenAllocation
from ferryman.engine.channel import Channels
from ferryman.engine.ending import close
from ferryman.engine.journal import Ending, Opened
from ferryman.engine.lifetime import granted_lifetime, requested_lifetime
from ferryman.engine.permission import Permissions
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.relay import RelayLease, RelayNeed, Reservation
from ferryman.engine.settings import SECOND, DefaultFamily, Settings
from ferryman.engine.source import source_of, source_text
from ferryman.engine.state import Exchange, Request, State
from ferryman.wire.address import Family
from ferryman.wire.errors import Malformed
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    decode_even_port_untrusted,
    decode_family_untrusted,
    decode_requested_transport_untrusted,
    encode_uint32,
    encode_xor_address,
)

UDP = 17
TOKEN_LENGTH = 8


def relay_need(state: State, request: Request, *, now: int) -> RelayNeed | None:
    """Which relay port to hand to `decide` with this request; None when it needs none.

    Only a guess at what `allocate` will say: a request that it refuses leaves the port untouched.
    """
    message = request.message
    if message.method != Method.ALLOCATE or message.first(Attribute.RESERVATION_TOKEN) is not None:
        return None
    if state.allocations.of(request.five_tuple, now=now) is not None:
        return None
    try:
        family = _requested_family(message, request.five_tuple.client.family, state.settings)
        even = message.first(Attribute.EVEN_PORT) is not None
        return RelayNeed(family, even=even, pair=_wants_pair(message))
    except (Malformed, Refused):
        return None


def allocate(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response; raises Refused or Malformed."""
    message = exchange.message
    if state.allocations.of(exchange.five_tuple, now=exchange.now) is not None:
        raise Refused(Refusal.ALLOCATION_EXISTS)
    _check_transport(message)
    _check_token(message)
    family = _requested_family(message, exchange.five_tuple.client.family, state.settings)
    lifetime = granted_lifetime(requested_lifetime(message), state.settings)
    _check_quota(state, exchange)
    _check_source(state, exchange)
    _check_capacity(state, exchange)
    lease = _take_lease(state, exchange, family)
    token = _reserve_next_higher(state, exchange, lease)
    _open(state, exchange, lease, lifetime)
    transaction_id = message.transaction_id
    return (
        (Attribute.XOR_RELAYED_ADDRESS, encode_xor_address(lease.advertised, transaction_id)),
        (Attribute.LIFETIME, encode_uint32(lifetime)),
        *token,
        (
            Attribute.XOR_MAPPED_ADDRESS,
            encode_xor_address(exchange.five_tuple.client, transaction_id),
        ),
    )


def _check_transport(message: Message) -> None:
    value = message.first(Attribute.REQUESTED_TRANSPORT)
    if value is None:
        raise Refused(Refusal.NO_REQUESTED_TRANSPORT)
    protocol = decode_requested_transport_untrusted(value)
    if protocol != UDP:
        raise Refused(Refusal.UNSUPPORTED_TRANSPORT, f"protocol {protocol}")


def _check_token(message: Message) -> None:
    token = message.first(Attribute.RESERVATION_TOKEN)
    if token is None:
        return
    if message.first(Attribute.EVEN_PORT) is not None:
        raise Refused(Refusal.TOKEN_AND_EVEN_PORT)
    if message.first(Attribute.REQUESTED_ADDRESS_FAMILY) is not None:
        raise Refused(Refusal.TOKEN_AND_FAMILY)
    if len(token) != TOKEN_LENGTH:
        raise Malformed(f"RESERVATION-TOKEN has {len(token)} octets, not {TOKEN_LENGTH}")


def _requested_family(message: Message, client: Family, settings: Settings) -> Family:
    value = message.first(Attribute.REQUESTED_ADDRESS_FAMILY)
    if value is None:
        default = settings.default_family
        return client if default is DefaultFamily.KEEP else Family[default.name]
    number = decode_family_untrusted(value)
    try:
        return Family(number)
    except ValueError:
        raise Refused(Refusal.UNSUPPORTED_FAMILY, f"family 0x{number:02X}") from None


def _check_quota(state: State, exchange: Exchange) -> None:
    """Allocations and reservations count alike; a token turns one into the other."""
    message, settings = exchange.message, state.settings
    if message.first(Attribute.RESERVATION_TOKEN) is not None:
        return
    wanted = 2 if _wants_pair(message) else 1
    total = len(state.allocations) + len(state.reservations)
    if settings.total_quota and total + wanted > settings.total_quota:
        raise Refused(Refusal.TOTAL_QUOTA, f"total-quota={settings.total_quota}")
    owner = exchange.credential.owner
    owned = state.allocations.owned_by(owner) + state.reservations.owned_by(owner)
    if settings.user_quota and owned + wanted > settings.user_quota:
        raise Refused(Refusal.USER_QUOTA, f"user-quota={settings.user_quota}")


def _check_source(state: State, exchange: Exchange) -> None:
    """A reservation has no source: whoever redeems it counts where it does so."""
    quota = state.settings.source_quota
    source = source_of(exchange.five_tuple.client.ip)
    if quota and state.allocations.opened_from(source) >= quota:
        raise Refused(Refusal.SOURCE_QUOTA, f"source-quota={quota} for {source_text(source)}")


def _check_capacity(state: State, exchange: Exchange) -> None:
    """Every allocation is promised what it may carry, and so is every reserved port."""
    settings = state.settings
    if not settings.capacity or exchange.message.first(Attribute.RESERVATION_TOKEN) is not None:
        return
    wanted = 2 if _wants_pair(exchange.message) else 1
    reserved = (len(state.reservations) + wanted) * settings.bytes_per_second
    if state.allocations.promised + reserved > settings.capacity:
        raise Refused(Refusal.CAPACITY, f"bps-capacity={settings.capacity}")


def _wants_pair(message: Message) -> bool:
    """Whether EVEN-PORT has the R bit (RFC 8656 §18.6)."""
    value = message.first(Attribute.EVEN_PORT)
    return value is not None and decode_even_port_untrusted(value)


def _take_lease(state: State, exchange: Exchange, family: Family) -> RelayLease:
    owner = exchange.credential.owner
    token = exchange.message.first(Attribute.RESERVATION_TOKEN)
    if token is not None:
        if state.reservations.find(token, owner, now=exchange.now) is None:
            raise Refused(Refusal.UNKNOWN_TOKEN)
        return state.reservations.remove(token)
    if _wants_pair(exchange.message) and not state.reservations.has_room(owner):
        raise Refused(Refusal.NO_PORT, "too many reservations")
    lease = exchange.lease
    if not isinstance(lease, RelayLease):
        raise Refused(lease or Refusal.NO_PORT, family.name)
    exchange.outcome.lease_taken = True
    return lease


def _reserve_next_higher(
    state: State, exchange: Exchange, lease: RelayLease
) -> tuple[tuple[int, bytes], ...]:
    """RESERVATION-TOKEN for the next higher port, when EVEN-PORT asked for it."""
    if lease.next_higher is None:
        return ()
    token = state.random_token()
    expires_at = exchange.now + state.settings.reservation_lifetime * SECOND
    owner = exchange.credential.owner
    state.reservations.add(token, Reservation(owner, lease.next_higher, expires_at))
    return ((Attribute.RESERVATION_TOKEN, token),)


def _open(state: State, exchange: Exchange, lease: RelayLease, lifetime: int) -> None:
    expired = state.allocations.holding(exchange.five_tuple)
    if expired is not None:
        close(state, expired, Ending.EXPIRED, exchange.outcome, now=exchange.now)
    state.last_number += 1
    settings = state.settings
    allocation = Allocation(
        number=state.last_number,
        five_tuple=exchange.five_tuple,
        username=exchange.credential.username,
        owner=exchange.credential.owner,
        lease=lease,
        opened_at=exchange.now,
        expires_at=exchange.now + lifetime * SECOND,
        permissions=Permissions(settings.maximum_permissions),
        channels=Channels(settings.maximum_channels),
        bytes_per_second=settings.bytes_per_second,
    )
    state.allocations.add(allocation)
    exchange.outcome.changes.append(
        OpenAllocation(
            allocation.number,
            allocation.five_tuple,
            lease.bound,
            lease.advertised,
            allocation.expires_at,
            allocation.bytes_per_second,
        )
    )
    exchange.outcome.journal.append(
        Opened(
            allocation.five_tuple,
            allocation.number,
            allocation.username,
            allocation.relayed,
            lifetime,
        )
    )
