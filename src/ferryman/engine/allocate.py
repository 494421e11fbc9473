"""Allocate (RFC 8656 §7.2): the checks in the RFC's order, then the allocation."""

from __future__ import annotations

from ferryman.engine.allocation import Allocation, Relayed
from ferryman.engine.alternate import encode_alternate
from ferryman.engine.changes import AddRelayed, Change, OpenAllocation, OpenTcpAllocation
from ferryman.engine.channel import Channels
from ferryman.engine.ending import make_way
from ferryman.engine.five_tuple import Transport
from ferryman.engine.grant import Grant
from ferryman.engine.journal import Opened
from ferryman.engine.lifetime import granted_lifetime, requested_lifetime
from ferryman.engine.mobile import Mobile
from ferryman.engine.mobility import ticket_attribute, wanted
from ferryman.engine.origin import origin_of
from ferryman.engine.permission import Permissions
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.relay import RelayLease, RelayNeed, Reservation
from ferryman.engine.relay_families import wanted_families, wants_pair
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.source import source_of, source_text
from ferryman.engine.state import Exchange, Leases, Request, State
from ferryman.engine.tunnelled import check_client
from ferryman.wire.address import Family
from ferryman.wire.errors import Malformed
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    decode_requested_transport_untrusted,
    encode_address_error,
    encode_uint32,
    encode_xor_address,
)

TOKEN_LENGTH = 8
_RELAYED_OVER: dict[int, Transport] = {17: Transport.UDP, 6: Transport.TCP}
"""By the numbers of their protocols."""
_OF_UDP_ONLY = (Attribute.DONT_FRAGMENT, Attribute.EVEN_PORT, Attribute.RESERVATION_TOKEN)


def relay_needs(state: State, request: Request, *, now: int) -> tuple[RelayNeed, ...]:
    """Which relay ports to hand to `decide` with this request, one for each.

    Only a guess at what `allocate` will say: a request that it refuses leaves them untouched.
    """
    message = request.message
    if message.method != Method.ALLOCATE or message.first(Attribute.RESERVATION_TOKEN) is not None:
        return ()
    if state.allocations.of(request.five_tuple, now=now) is not None:
        return ()
    if state.draining:
        return ()
    if state.alternates.candidates(request.five_tuple, state.peer_rules.own):
        return ()
    try:
        transport = _transport(message)
        families = _families(message, request.five_tuple.client.family, state.settings)
        even, pair = message.first(Attribute.EVEN_PORT) is not None, wants_pair(message)
        return tuple(RelayNeed(family, even, pair, transport) for family in families)
    except (Malformed, Refused):
        return ()


def allocate(state: State, exchange: Exchange) -> tuple[tuple[int, bytes], ...]:
    """Attributes of the success response; raises Refused or Malformed."""
    message = exchange.message
    if state.allocations.of(exchange.five_tuple, now=exchange.now) is not None:
        raise Refused(Refusal.ALLOCATION_EXISTS)
    check_client(exchange.five_tuple)
    _send_elsewhere(state, exchange)
    _check_transport(exchange, state.settings)
    _check_token(message)
    mobile = wanted(state, message)
    if mobile.newest and _transport(message) is Transport.TCP:
        # A control connection cannot move: its data connections would stay behind.
        raise Refused(Refusal.MOBILITY_OF_TCP)
    families = _families(message, exchange.five_tuple.client.family, state.settings)
    lifetime = granted_lifetime(requested_lifetime(message), state.settings, exchange.credential)
    _check_quota(state, exchange)
    _check_source(state, exchange)
    _check_capacity(state, exchange)
    leases = _take_leases(state, exchange, families)
    token = _reserve_next_higher(state, exchange, leases[0])
    allocation = _open(state, exchange, leases, lifetime, mobile)
    transaction_id = message.transaction_id
    relayed = (encode_xor_address(lease.advertised, transaction_id) for lease in leases)
    return (
        *((Attribute.XOR_RELAYED_ADDRESS, address) for address in relayed),
        (Attribute.LIFETIME, encode_uint32(lifetime)),
        *token,
        *ticket_attribute(state, exchange, allocation),
        (
            Attribute.XOR_MAPPED_ADDRESS,
            encode_xor_address(exchange.five_tuple.client, transaction_id),
        ),
        *_address_errors(exchange, families),
    )


def _send_elsewhere(state: State, exchange: Exchange) -> None:
    """RFC 8656 §7.2: the server may redirect at any time; it does so before it spends anything."""
    five_tuple = exchange.five_tuple
    alternate = state.alternates.next_for(five_tuple, state.peer_rules.own, leaving=state.draining)
    if alternate is not None:
        attributes = encode_alternate(alternate, five_tuple.transport)
        raise Refused(Refusal.TRY_ALTERNATE, str(alternate.address), attributes)
    if state.draining:
        raise Refused(Refusal.DRAINING)


def _transport(message: Message) -> Transport:
    """UDP or TCP, as REQUESTED-TRANSPORT says (RFC 8656 §7.2, RFC 6062 §5.1)."""
    value = message.first(Attribute.REQUESTED_TRANSPORT)
    if value is None:
        raise Refused(Refusal.NO_REQUESTED_TRANSPORT)
    protocol = decode_requested_transport_untrusted(value)
    transport = _RELAYED_OVER.get(protocol)
    if transport is None:
        raise Refused(Refusal.UNSUPPORTED_TRANSPORT, f"protocol {protocol}")
    return transport


def _check_transport(exchange: Exchange, settings: Settings) -> None:
    message = exchange.message
    if _transport(message) is Transport.UDP:
        if not settings.udp_relay:
            raise Refused(Refusal.UDP_FORBIDDEN, "no-udp-relay")
        return
    if not settings.tcp_relay:
        raise Refused(Refusal.UNSUPPORTED_TRANSPORT, "no-tcp-relay")
    if not exchange.five_tuple.transport.is_stream:
        raise Refused(Refusal.TCP_OVER_DATAGRAMS)
    if any(message.first(attribute) is not None for attribute in _OF_UDP_ONLY):
        raise Refused(Refusal.TCP_WITH_UDP_ATTRIBUTE)


def _families(message: Message, client: Family, settings: Settings) -> tuple[Family, ...]:
    """A TCP allocation has one relayed address: RFC 6062 knows no other."""
    families = wanted_families(message, client, settings)
    return families[:1] if _transport(message) is Transport.TCP else families


def _check_token(message: Message) -> None:
    token = message.first(Attribute.RESERVATION_TOKEN)
    if token is None:
        return
    if message.first(Attribute.EVEN_PORT) is not None:
        raise Refused(Refusal.TOKEN_AND_EVEN_PORT)
    if message.first(Attribute.REQUESTED_ADDRESS_FAMILY) is not None:
        raise Refused(Refusal.TOKEN_AND_FAMILY)
    if message.first(Attribute.ADDITIONAL_ADDRESS_FAMILY) is not None:
        raise Refused(Refusal.TOKEN_AND_ADDITIONAL)
    if len(token) != TOKEN_LENGTH:
        raise Malformed(f"RESERVATION-TOKEN has {len(token)} octets, not {TOKEN_LENGTH}")


def _check_quota(state: State, exchange: Exchange) -> None:
    """Allocations, dual ones too, and reservations count one each; a token turns one of the
    latter into one of the former."""
    message, settings = exchange.message, state.settings
    if message.first(Attribute.RESERVATION_TOKEN) is not None:
        return
    wanted = 2 if wants_pair(message) else 1
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
    wanted = 2 if wants_pair(exchange.message) else 1
    reserved = (len(state.reservations) + wanted) * settings.bytes_per_second
    if state.allocations.promised + reserved > settings.capacity:
        raise Refused(Refusal.CAPACITY, f"bps-capacity={settings.capacity}")


def _take_leases(
    state: State, exchange: Exchange, families: tuple[Family, ...]
) -> list[RelayLease]:
    """At least one; of a dual allocation, what can be had (RFC 8656 §7.2, check 9)."""
    owner = exchange.credential.owner
    token = exchange.message.first(Attribute.RESERVATION_TOKEN)
    if token is not None:
        third_party = exchange.credential.is_third_party
        found = state.reservations.find(token, owner, third_party=third_party, now=exchange.now)
        if found is None:
            raise Refused(Refusal.UNKNOWN_TOKEN)
        return [state.reservations.remove(token)]
    if wants_pair(exchange.message) and not state.reservations.has_room(owner):
        raise Refused(Refusal.NO_PORT, "too many reservations")
    leases = [lease for lease in exchange.leases if isinstance(lease, RelayLease)]
    if not leases:
        raise _none_left(exchange.leases, families)
    exchange.outcome.taken += leases
    return leases


def _none_left(leases: Leases, families: tuple[Family, ...]) -> Refused:
    """Why there is no relayed address at all."""
    if len(families) > 1:
        return Refused(Refusal.NEITHER_FAMILY)
    refusal = next((lease for lease in leases if isinstance(lease, Refusal)), Refusal.NO_PORT)
    return Refused(refusal, families[0].name)


def _address_errors(
    exchange: Exchange, families: tuple[Family, ...]
) -> tuple[tuple[int, bytes], ...]:
    """ADDRESS-ERROR-CODE for the family that a dual allocation has to do without."""
    return tuple(
        (
            Attribute.ADDRESS_ERROR_CODE,
            encode_address_error(family, refusal.code, refusal.reason),
        )
        for family, refusal in zip(families, exchange.leases, strict=False)
        if isinstance(refusal, Refusal)
    )


def _reserve_next_higher(
    state: State, exchange: Exchange, lease: RelayLease
) -> tuple[tuple[int, bytes], ...]:
    """RESERVATION-TOKEN for the next higher port, when EVEN-PORT asked for it."""
    if lease.next_higher is None:
        return ()
    token = state.random_token()
    expires_at = exchange.now + state.settings.reservation_lifetime * SECOND
    credential = exchange.credential
    reservation = Reservation(
        credential.owner, lease.next_higher, expires_at, credential.is_third_party
    )
    state.reservations.add(token, reservation)
    return ((Attribute.RESERVATION_TOKEN, token),)


def _open(
    state: State, exchange: Exchange, leases: list[RelayLease], lifetime: int, mobile: Mobile
) -> Allocation:
    make_way(state, exchange.five_tuple, exchange.outcome, now=exchange.now)
    state.last_number += 1
    settings = state.settings
    expires_at = exchange.now + lifetime * SECOND
    allocation = Allocation(
        number=state.last_number,
        five_tuple=exchange.five_tuple,
        username=exchange.credential.username,
        owner=exchange.credential.owner,
        relayed={lease.bound.family: Relayed(lease, expires_at) for lease in leases},
        opened_at=exchange.now,
        permissions=Permissions(settings.maximum_permissions),
        channels=Channels(settings.maximum_channels),
        bytes_per_second=settings.bytes_per_second,
        grant=Grant.of(exchange.credential, now=exchange.now),
        origin=origin_of(exchange.message),
        mobile=mobile,
    )
    state.allocations.add(allocation)
    exchange.outcome.changes += _changes(allocation)
    exchange.outcome.journal.append(
        Opened(
            allocation.five_tuple,
            allocation.number,
            allocation.username,
            allocation.advertised,
            lifetime,
        )
    )
    return allocation


def _changes(allocation: Allocation) -> list[Change]:
    first, *others = allocation.relayed.values()
    number = allocation.number
    opened = OpenTcpAllocation if allocation.transport is Transport.TCP else OpenAllocation
    return [
        opened(
            number,
            allocation.five_tuple,
            first.lease.bound,
            first.lease.advertised,
            first.expires_at,
            allocation.bytes_per_second,
        ),
        *(
            AddRelayed(number, other.lease.bound, other.lease.advertised, other.expires_at)
            for other in others
        ),
    ]
