"""Two relayed addresses in one allocation: RFC 8656 §7.2 (checks 5 to 9), §8, §10.2, §12.2."""

from __future__ import annotations

import pytest

from ferryman.engine.changes import (
    AddRelayed,
    BindChannel,
    CloseAllocation,
    CloseRelayed,
    ExtendAllocation,
    ExtendRelayed,
    OpenAllocation,
    Permit,
    Usage,
)
from ferryman.engine.ending import expire, relayed_closed, used
from ferryman.engine.journal import Closed, Opened, RelayedClosed
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND, DefaultFamily, Settings
from ferryman.wire.address import Address, Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    decode_address_error_untrusted,
    encode_even_port,
    encode_family,
    encode_uint32,
)
from tests.engine.desk import PEER, PEER_V6, REALM, UDP_TRANSPORT, Client, Decided, Desk

BOTH = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6))
IPV4 = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV4))
IPV6 = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))
ZERO = (Attribute.LIFETIME, encode_uint32(0))
LONG = (Attribute.LIFETIME, encode_uint32(1200))
FAMILIES = [(IPV4, Family.IPV4), (IPV6, Family.IPV6)]
NAMES = ["IPv4", "IPv6"]


def relayed(answer: Decided) -> list[Address]:
    return answer.addresses(Attribute.XOR_RELAYED_ADDRESS)


def dual() -> tuple[Desk, Client]:
    desk = Desk()
    client = desk.client()
    assert client.allocate(BOTH).code == 0
    return desk, client


def refresh(client: Client, *attributes: tuple[int, bytes]) -> Decided:
    return client.request(Method.REFRESH, attributes)


def test_the_answer_has_two_relayed_addresses_and_no_error() -> None:
    answer = Desk().client().allocate(BOTH)
    assert answer.code == 0
    assert [address.family for address in relayed(answer)] == [Family.IPV4, Family.IPV6]
    assert answer.message.first(Attribute.ADDRESS_ERROR_CODE) is None
    opened, added = answer.changes
    assert isinstance(opened, OpenAllocation)
    assert isinstance(added, AddRelayed)
    assert [opened.advertised, added.advertised] == relayed(answer)
    assert (added.allocation, added.expires_at) == (opened.allocation, opened.expires_at)
    (entry,) = answer.journal
    assert isinstance(entry, Opened)
    assert list(entry.relayed) == relayed(answer)


@pytest.mark.parametrize("default", DefaultFamily)
@pytest.mark.parametrize("host", ["203.0.113.9", "2001:db8::9"])
def test_the_default_family_has_no_say_in_it(default: DefaultFamily, host: str) -> None:
    desk = Desk(Settings(realm=REALM, default_family=default))
    answer = desk.client(host=host).allocate(BOTH)
    assert [address.family for address in relayed(answer)] == [Family.IPV4, Family.IPV6]


REFUSED = {
    "with REQUESTED-ADDRESS-FAMILY": ((BOTH, IPV4), 400),
    "with the same REQUESTED-ADDRESS-FAMILY": ((BOTH, IPV6), 400),
    "with IPv4 as the additional family": (
        ((Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(1)),),
        400,
    ),
    "with family 3 as the additional family": (
        ((Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(3)),),
        400,
    ),
    "with a family of 1 octet": (((Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2"),), 400),
    "with the R bit of EVEN-PORT": ((BOTH, (Attribute.EVEN_PORT, encode_even_port(True))), 400),
    "with a token": ((BOTH, (Attribute.RESERVATION_TOKEN, bytes(8))), 400),
}


@pytest.mark.parametrize(("attributes", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_a_dual_allocate_is_refused(attributes: tuple[tuple[int, bytes], ...], code: int) -> None:
    desk = Desk()
    answer = desk.client().request(Method.ALLOCATE, (UDP_TRANSPORT, *attributes))
    assert answer.code == code
    assert not answer.changes


def test_even_port_without_the_r_bit_makes_both_ports_even() -> None:
    answer = Desk().client().allocate(BOTH, (Attribute.EVEN_PORT, encode_even_port(False)))
    assert [address.port % 2 for address in relayed(answer)] == [0, 0]


@pytest.mark.parametrize(
    ("short_of", "has"), [(Family.IPV4, Family.IPV6), (Family.IPV6, Family.IPV4)]
)
@pytest.mark.parametrize(
    ("refusal", "code"), [(Refusal.UNSUPPORTED_FAMILY, 440), (Refusal.NO_PORT, 508)]
)
def test_a_family_that_cannot_be_had_is_named_in_the_success(
    short_of: Family, has: Family, refusal: Refusal, code: int
) -> None:
    desk = Desk(short_of={short_of: refusal})
    client = desk.client()
    answer = client.allocate(BOTH)
    assert answer.code == 0
    assert [address.family for address in relayed(answer)] == [has]
    value = answer.message.first(Attribute.ADDRESS_ERROR_CODE)
    assert value is not None
    assert decode_address_error_untrusted(value) == (short_of, code, refusal.reason)
    assert client.permit(PEER if short_of is Family.IPV4 else PEER_V6).code == 443


@pytest.mark.parametrize("one", [Refusal.UNSUPPORTED_FAMILY, Refusal.NO_PORT])
def test_when_neither_can_be_had_it_is_508(one: Refusal) -> None:
    desk = Desk(short_of={Family.IPV4: one, Family.IPV6: Refusal.NO_PORT})
    answer = desk.client().allocate(BOTH)
    assert answer.code == 508
    assert answer.message.first(Attribute.ADDRESS_ERROR_CODE) is None
    assert len(desk.state.allocations) == 0


def test_a_single_allocation_never_carries_an_address_error() -> None:
    answer = Desk(lease_refusal=Refusal.UNSUPPORTED_FAMILY).client().allocate(IPV6)
    assert answer.code == 440
    assert answer.message.first(Attribute.ADDRESS_ERROR_CODE) is None


def test_both_ports_of_a_refused_request_go_back() -> None:
    desk = Desk(Settings(realm=REALM, user_quota=1))
    desk.client(1).allocate(BOTH)
    assert desk.client(2).allocate(BOTH).code == 486
    assert [lease.bound.family for lease in desk.given_back] == [Family.IPV4, Family.IPV6]


def test_a_dual_allocation_counts_once() -> None:
    desk = Desk(Settings(realm=REALM, user_quota=2, total_quota=2))
    assert desk.client(1).allocate(BOTH).code == 0
    assert desk.client(2).allocate(BOTH).code == 0
    assert desk.client(3).allocate(BOTH).code == 486


def test_permissions_of_both_families_in_one_request() -> None:
    _, client = dual()
    answer = client.permit(PEER, PEER_V6)
    assert answer.code == 0
    ips = [change.peer_ip for change in answer.changes if isinstance(change, Permit)]
    assert ips == [PEER.ip, PEER_V6.ip]


def test_channels_to_both_families_and_a_number_names_one_peer_of_either() -> None:
    _, client = dual()
    for number, peer in ((0x4000, PEER), (0x4001, PEER_V6)):
        answer = client.bind(number, peer)
        assert answer.code == 0
        assert any(isinstance(change, BindChannel) for change in answer.changes)
    assert client.bind(0x4000, PEER_V6._replace(port=9)).code == 400


@pytest.mark.parametrize("peer", [PEER, PEER_V6], ids=NAMES)
def test_another_clients_relayed_address_of_either_family_is_a_good_peer(peer: Address) -> None:
    desk, client = dual()
    addresses = relayed(desk.client(2).allocate(BOTH))
    (other,) = (address for address in addresses if address.family is peer.family)
    answer = client.permit(other)
    assert answer.code == 0
    (change,) = answer.changes
    assert isinstance(change, Permit)
    assert change.relayed_only


def test_refresh_without_a_family_is_for_both() -> None:
    desk, client = dual()
    answer = refresh(client, LONG)
    assert answer.lifetime == 1200
    assert answer.changes == [ExtendAllocation(1, desk.now + 1200 * SECOND)]


@pytest.mark.parametrize(("attribute", "family"), FAMILIES, ids=NAMES)
def test_refresh_with_a_family_is_for_that_one(
    attribute: tuple[int, bytes], family: Family
) -> None:
    desk, client = dual()
    answer = refresh(client, attribute, LONG)
    assert answer.lifetime == 1200
    assert answer.changes == [ExtendRelayed(1, family, desk.now + 1200 * SECOND)]
    desk.pass_seconds(600)
    outcome = expire(desk.state, now=desk.now)
    (other,) = {Family.IPV4, Family.IPV6} - {family}
    assert outcome.changes == [CloseRelayed(1, other)]
    desk.pass_seconds(600)
    assert expire(desk.state, now=desk.now).changes == [CloseAllocation(1)]


@pytest.mark.parametrize(("attribute", "family"), FAMILIES, ids=NAMES)
def test_refresh_to_zero_with_a_family_deletes_that_one_with_what_belongs_to_it(
    attribute: tuple[int, bytes], family: Family
) -> None:
    _, client = dual()
    gone, left = (PEER, PEER_V6) if family is Family.IPV4 else (PEER_V6, PEER)
    client.bind(0x4000, gone)
    client.bind(0x4001, left)
    answer = refresh(client, attribute, ZERO)
    assert answer.lifetime == 0
    assert answer.changes == [CloseRelayed(1, family)]
    (entry,) = answer.journal
    assert isinstance(entry, RelayedClosed)
    assert entry.relayed.family is family
    # What is gone is refused, what is left is as it was, and the number is free at once.
    assert client.permit(gone).code == 443
    assert client.bind(0x4002, gone).code == 443
    assert client.bind(0x4001, left._replace(port=9)).code == 400
    assert client.bind(0x4000, left._replace(port=9)).code == 0
    assert client.permit(left).code == 0


@pytest.mark.parametrize(("attribute", "family"), FAMILIES, ids=NAMES)
def test_a_family_that_was_deleted_is_443_and_the_last_one_is_the_allocation(
    attribute: tuple[int, bytes], family: Family
) -> None:
    desk, client = dual()
    other = IPV6 if family is Family.IPV4 else IPV4
    refresh(client, attribute, ZERO)
    assert refresh(client, attribute).code == 443
    assert refresh(client, attribute, ZERO).code == 443
    answer = refresh(client)
    assert answer.changes == [ExtendAllocation(1, desk.now + 600 * SECOND)]
    answer = refresh(client, other, ZERO)
    assert answer.changes == [CloseAllocation(1)]
    assert refresh(client).code == 437


def test_permissions_and_channels_of_a_deleted_family_leave_their_room() -> None:
    desk = Desk(Settings(realm=REALM, maximum_permissions=1, maximum_channels=1))
    client = desk.client()
    client.allocate(BOTH)
    assert client.bind(0x4000, PEER_V6).code == 0
    assert client.permit(PEER).code == 508
    refresh(client, IPV6, ZERO)
    assert client.bind(0x4001, PEER).code == 0


def test_a_second_family_cannot_be_had_later() -> None:
    _, client = dual()
    refresh(client, IPV6, ZERO)
    assert client.allocate(BOTH).code == 437


def test_refresh_with_an_unknown_family_is_443() -> None:
    _, client = dual()
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(3))
    assert refresh(client, family).code == 443


def test_refresh_does_not_wake_a_family_that_has_expired_unnoticed() -> None:
    desk, client = dual()
    refresh(client, IPV4, LONG)
    desk.pass_seconds(600)
    client.challenge()
    assert client.permit(PEER_V6).code == 443
    assert refresh(client, IPV6).code == 443
    answer = refresh(client)
    assert answer.changes == [ExtendRelayed(1, Family.IPV4, desk.now + 600 * SECOND)]
    assert expire(desk.state, now=desk.now).changes == [CloseRelayed(1, Family.IPV6)]


def test_a_shorter_refresh_of_one_family_brings_its_end_forward() -> None:
    desk, client = dual()
    refresh(client, (Attribute.LIFETIME, encode_uint32(3600)))
    refresh(client, IPV6)
    desk.pass_seconds(600)
    assert expire(desk.state, now=desk.now).changes == [CloseRelayed(1, Family.IPV6)]


def test_the_port_of_a_closed_family_waits_for_the_datapath() -> None:
    desk, client = dual()
    refresh(client, IPV6, ZERO)
    (lease,) = relayed_closed(desk.state, 1, Family.IPV6).closed
    assert lease.bound.family is Family.IPV6
    assert not relayed_closed(desk.state, 1, Family.IPV6).closed
    client.refresh(0)
    outcome = used(desk.state, 1, Usage())
    assert [lease.bound.family for lease in outcome.closed] == [Family.IPV4]
    assert not desk.state.closing_relayed


def test_both_ports_of_a_closed_allocation_come_back() -> None:
    desk, client = dual()
    client.refresh(0)
    outcome = used(desk.state, 1, Usage())
    assert [lease.bound.family for lease in outcome.closed] == [Family.IPV4, Family.IPV6]
    (entry,) = outcome.journal
    assert isinstance(entry, Closed)
    assert len(entry.relayed) == 2


@pytest.mark.parametrize("wish", [IPV4, IPV6])
def test_what_is_left_of_a_dual_allocation_expires_once(wish: tuple[int, bytes]) -> None:
    desk, client = dual()
    refresh(client, wish, ZERO)
    desk.pass_seconds(601)
    assert expire(desk.state, now=desk.now).changes == [CloseAllocation(1)]
    assert not len(desk.state.allocations)


def test_nothing_is_left_of_a_thousand_dual_allocations() -> None:
    desk = Desk()
    for port in range(1, 1001):
        client = desk.client(port)
        client.allocate(BOTH)
        refresh(client, IPV4, ZERO)
        client.refresh(0)
        relayed_closed(desk.state, port, Family.IPV4)
        used(desk.state, port, Usage())
    desk.pass_seconds(4000)
    expire(desk.state, now=desk.now)
    table = desk.state.allocations
    leftovers = (table._by_five_tuple, table._by_relayed, table._by_number, table._of_owner)
    assert not any(leftovers)
    assert not table._scheduled
    assert not table._deadlines
    assert not desk.state.closing_relayed
