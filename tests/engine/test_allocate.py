"""Allocate: RFC 8656 §7.2, row by row."""

from __future__ import annotations

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.engine.changes import OpenAllocation
from ferryman.engine.credential import Credential
from ferryman.engine.ending import expire
from ferryman.engine.five_tuple import Transport
from ferryman.engine.journal import Opened, RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND, DefaultFamily, Settings
from ferryman.wire.address import Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    encode_even_port,
    encode_family,
    encode_requested_transport,
    encode_uint32,
)
from tests.conformance.clause import clause
from tests.engine.desk import PASSWORDS, PEER, REALM, UDP_TRANSPORT, Desk

EVEN = (Attribute.EVEN_PORT, encode_even_port(False))
EVEN_AND_NEXT = (Attribute.EVEN_PORT, encode_even_port(True))
KEY = long_term_key("alice", REALM, PASSWORDS["alice"])
IPV4 = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV4))
IPV6 = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))


def test_success_tells_relayed_and_mapped_address_and_lifetime() -> None:
    desk = Desk()
    client = desk.client()
    answer = client.allocate()
    assert answer.code == 0
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == client.five_tuple.client
    relayed = answer.address(Attribute.XOR_RELAYED_ADDRESS)
    assert relayed.family is Family.IPV4
    assert answer.lifetime == 600
    opened = answer.changes[0]
    assert isinstance(opened, OpenAllocation)
    assert (opened.advertised, opened.expires_at) == (relayed, desk.now + 600 * SECOND)
    assert isinstance(answer.journal[0], Opened)


@pytest.mark.parametrize(
    ("wish", "granted"),
    [
        (None, 600),
        (0, 600),
        (1, 600),
        (599, 600),
        (601, 601),
        (777, 777),
        (3600, 3600),
        (3601, 3600),
        (2**32 - 1, 3600),
    ],
)
def test_lifetime_is_at_least_the_default_and_at_most_the_maximum(
    wish: int | None, granted: int
) -> None:
    wishes = () if wish is None else ((Attribute.LIFETIME, encode_uint32(wish)),)
    assert Desk().client().allocate(*wishes).lifetime == granted


def test_a_second_allocate_on_the_5_tuple_is_437() -> None:
    client = Desk().client()
    assert client.allocate().code == 0
    assert client.allocate().code == 437


def test_another_port_of_the_same_client_has_its_own_allocation() -> None:
    desk = Desk()
    first = desk.client(40_000).allocate()
    second = desk.client(40_001).allocate()
    assert first.address(Attribute.XOR_RELAYED_ADDRESS) != second.address(
        Attribute.XOR_RELAYED_ADDRESS
    )


def test_an_expired_allocation_makes_room_on_its_5_tuple() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    desk.pass_seconds(600)
    client.challenge()
    answer = client.allocate()
    assert answer.code == 0
    assert len(desk.state.allocations) == 1


REFUSED = {
    "without REQUESTED-TRANSPORT": ((), 400),
    "with a REQUESTED-TRANSPORT of 2 octets": (((Attribute.REQUESTED_TRANSPORT, b"\x11\0"),), 400),
    "with TCP as transport over UDP": (
        ((Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6)),),
        400,
    ),
    "with transport 255": (
        ((Attribute.REQUESTED_TRANSPORT, encode_requested_transport(255)),),
        442,
    ),
    "with a LIFETIME of 2 octets": ((UDP_TRANSPORT, (Attribute.LIFETIME, b"\0\1")), 400),
    "with an EVEN-PORT of 0 octets": ((UDP_TRANSPORT, (Attribute.EVEN_PORT, b"")), 400),
    "with family 3": (
        (UDP_TRANSPORT, (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(3))),
        440,
    ),
    "with a family of 1 octet": ((UDP_TRANSPORT, (Attribute.REQUESTED_ADDRESS_FAMILY, b"\1")), 400),
    "with token and EVEN-PORT": (
        (UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(8)), EVEN),
        400,
    ),
    "with token and family": (
        (UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(8)), IPV4),
        400,
    ),
    "with a token of 7 octets": ((UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(7))), 400),
    "with an unknown token": ((UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(8))), 508),
}


@pytest.mark.parametrize(("attributes", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_an_allocate_is_refused(attributes: tuple[tuple[int, bytes], ...], code: int) -> None:
    desk = Desk()
    answer = desk.client().request(Method.ALLOCATE, attributes)
    assert answer.code == code
    assert not answer.changes
    assert len(desk.state.allocations) == 0
    assert isinstance(answer.journal[0], RefusedRequest)


def test_a_refused_allocate_gives_its_port_back() -> None:
    desk = Desk(Settings(realm=REALM, user_quota=1))
    desk.client(1).allocate()
    assert desk.client(2).allocate().code == 486
    assert len(desk.given_back) == 1


@pytest.mark.parametrize(
    ("default", "family"),
    [
        (DefaultFamily.IPV4, Family.IPV4),
        (DefaultFamily.IPV6, Family.IPV6),
        (DefaultFamily.KEEP, Family.IPV6),
    ],
)
def test_without_a_requested_family_an_ipv6_client_gets(
    default: DefaultFamily, family: Family
) -> None:
    desk = Desk(Settings(realm=REALM, default_family=default))
    answer = desk.client(host="2001:db8::9").allocate()
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS).family is family


@pytest.mark.parametrize(
    ("attribute", "family"), [(IPV4, Family.IPV4), (IPV6, Family.IPV6)], ids=["IPv4", "IPv6"]
)
def test_the_requested_family_is_given(attribute: tuple[int, bytes], family: Family) -> None:
    answer = Desk().client().allocate(attribute)
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS).family is family


@clause("RFC 8656 §7.2", "a family of which the server has no address is 440", "UNSUPPORTED_FAMILY")
def test_a_family_that_the_server_has_no_address_of_is_440() -> None:
    desk = Desk(lease_refusal=Refusal.UNSUPPORTED_FAMILY)
    assert desk.client().allocate(IPV6).code == 440


@clause("RFC 8656 §7.2", "without a free port Allocate is 508", "NO_PORT")
def test_no_free_port_is_508() -> None:
    assert Desk(lease_refusal=Refusal.NO_PORT).client().allocate().code == 508


@clause("RFC 8656 §21.3.1", "a user has so many allocations and then 486", "USER_QUOTA")
def test_user_quota_counts_one_user_and_frees_with_the_allocation() -> None:
    desk = Desk(Settings(realm=REALM, user_quota=2))
    first = desk.client(1)
    assert [first.allocate().code, desk.client(2).allocate().code] == [0, 0]
    assert desk.client(3).allocate().code == 486
    assert desk.client(4, "bob").allocate().code == 0
    first.refresh(0)
    assert desk.client(3).allocate().code == 0


def test_total_quota_counts_everyone() -> None:
    desk = Desk(Settings(realm=REALM, total_quota=2))
    codes = [desk.client(port, name).allocate().code for port, name in enumerate(["alice", "bob"])]
    assert codes == [0, 0]
    assert desk.client(9).allocate().code == 486


def test_even_port_is_even_and_reserves_nothing() -> None:
    answer = Desk().client().allocate(EVEN)
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS).port % 2 == 0
    assert answer.message.first(Attribute.RESERVATION_TOKEN) is None


def reserve(desk: Desk) -> tuple[int, tuple[int, bytes]]:
    """The even port given, and the attribute that redeems the next one."""
    answer = desk.client(1).allocate(EVEN_AND_NEXT)
    token = answer.message.first(Attribute.RESERVATION_TOKEN)
    assert token is not None
    assert len(token) == 8
    port = answer.address(Attribute.XOR_RELAYED_ADDRESS).port
    return port, (Attribute.RESERVATION_TOKEN, token)


def test_a_reservation_token_gives_the_next_higher_port_once() -> None:
    desk = Desk()
    port, token = reserve(desk)
    answer = desk.client(2).allocate(token)
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS).port == port + 1
    assert desk.client(3).allocate(token).code == 508


@clause("RFC 8656 §7.2", "a reserved port is kept for 30 seconds", "src/ferryman/engine/relay.py")
def test_a_reservation_ends_after_thirty_seconds_and_its_port_comes_back() -> None:
    desk = Desk()
    _, token = reserve(desk)
    client = desk.client(2)
    client.challenge()
    desk.pass_seconds(30)
    assert client.allocate(token).code == 508
    assert len(expire(desk.state, now=desk.now).unclaimed) == 1
    assert len(desk.state.reservations) == 0


def test_a_reservation_lasts_until_just_before_thirty_seconds() -> None:
    desk = Desk()
    _, token = reserve(desk)
    desk.pass_seconds(29.999)
    assert desk.client(2).allocate(token).code == 0


@clause("RFC 8656 §7.2", "a RESERVATION-TOKEN is for who was given it", "UNKNOWN_TOKEN")
def test_a_reservation_is_of_no_use_to_another_user() -> None:
    desk = Desk()
    _, token = reserve(desk)
    assert desk.client(2, "bob").allocate(token).code == 508


def test_reservations_of_one_user_are_limited() -> None:
    desk = Desk()
    codes = [desk.client(port).allocate(EVEN_AND_NEXT).code for port in range(1, 70)]
    assert codes[:64] == [0] * 64
    assert codes[64:] == [508] * 5
    assert desk.client(100, "bob").allocate(EVEN_AND_NEXT).code == 0


def test_reservations_of_all_users_are_limited() -> None:
    desk = Desk(Settings(realm=REALM, unauthorized_per_second=0))
    for port in range(1, 1025):
        desk.credential = Credential(f"{port}", f"{port}", (KEY,))
        assert desk.client(port).allocate(EVEN_AND_NEXT).code == 0
    assert desk.client(2000).allocate(EVEN_AND_NEXT).code == 508
    assert desk.client(2000).allocate(EVEN).code == 0


def test_a_reservation_counts_against_the_quotas_until_it_is_redeemed() -> None:
    desk = Desk(Settings(realm=REALM, user_quota=2))
    assert desk.client(1).allocate().code == 0
    assert desk.client(2).allocate(EVEN_AND_NEXT).code == 486
    assert desk.client(2).allocate(EVEN).code == 0
    desk = Desk(Settings(realm=REALM, total_quota=2))
    _, token = reserve(desk)
    assert desk.client(2).allocate().code == 486
    assert desk.client(2).allocate(token).code == 0
    assert desk.client(3, "bob").allocate().code == 486


def test_known_attributes_of_other_methods_are_passed_over() -> None:
    client = Desk().client()
    assert client.allocate((Attribute.PRIORITY, bytes(4)), (Attribute.DATA, b"x")).code == 0
    lifetime = (Attribute.LIFETIME, encode_uint32(60))
    assert client.with_peers(Method.CREATE_PERMISSION, (lifetime,), PEER).code == 0
    assert client.request(Method.REFRESH, (UDP_TRANSPORT,)).code == 0


def test_two_thousand_short_lives_leave_a_short_timetable() -> None:
    desk = Desk()
    client = desk.client()
    for _ in range(2_000):
        client.allocate((Attribute.LIFETIME, encode_uint32(3600)))
        client.refresh(0)
    assert len(desk.state.allocations) == 0
    assert len(desk.state.allocations._deadlines) < 100


def test_two_allocations_that_claim_one_address_part_without_harm() -> None:
    desk = Desk()
    first = desk.client(1)
    second = desk.client(2)
    first.allocate()
    second.allocate()
    table = desk.state.allocations
    one, other = list(table)
    (relayed,) = one.advertised
    table._by_relayed[Transport.UDP, relayed] = other
    assert first.refresh(0).code == 0
    assert table.relaying(Transport.UDP, relayed, now=desk.now) is other
    assert second.refresh(0).code == 0
