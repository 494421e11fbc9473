"""Allocate: RFC 8656 §7.2, §7.3."""

from __future__ import annotations

import itertools
import time

import pytest

from ferryman.wire.address import Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_family, encode_uint32
from tests.conformance.clause import ALLOCATE, LIFETIME, clause
from tests.conformance.conftest import Connect
from tests.turn_client import TurnClient

IPV4, IPV6 = encode_family(Family.IPV4), encode_family(Family.IPV6)
ADDITIONAL = (Attribute.ADDITIONAL_ADDRESS_FAMILY, IPV6)
EVEN = (Attribute.EVEN_PORT, b"\x00")
EVEN_AND_NEXT = (Attribute.EVEN_PORT, b"\x80")
SUCCESS = (Attribute.XOR_RELAYED_ADDRESS, Attribute.LIFETIME, Attribute.XOR_MAPPED_ADDRESS)


@clause(
    "RFC 8656 §21.2.3",
    "no relayed address is on a well-known port",
    "src/ferryman/server/relay_ports.py",
)
@clause(
    "RFC 8656 §7.2", "a success has XOR-RELAYED-ADDRESS, LIFETIME and XOR-MAPPED-ADDRESS", ALLOCATE
)
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
def test_an_allocation_is_described(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream)
    answer = client.allocate()
    assert answer.code == 0
    assert [answer.message.first(attribute) is not None for attribute in SUCCESS] == [True] * 3
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == client.local
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS).port >= 1024


@clause("RFC 8656 §7.2", "a second Allocate on the 5-tuple is 437", "ALLOCATION_EXISTS")
def test_a_5_tuple_has_one_allocation(client: TurnClient) -> None:
    assert client.allocate().code == 0
    assert client.allocate().code == 437


@clause("RFC 8656 §7.2", "without REQUESTED-TRANSPORT: 400", "NO_REQUESTED_TRANSPORT")
def test_the_transport_has_to_be_named(client: TurnClient) -> None:
    assert client.request(Method.ALLOCATE).code == 400


@clause("RFC 8656 §7.2", "a malformed REQUESTED-TRANSPORT is 400", "MALFORMED_ATTRIBUTE")
def test_a_malformed_transport_is_a_bad_request(client: TurnClient) -> None:
    assert client.request(Method.ALLOCATE, ((Attribute.REQUESTED_TRANSPORT, b"\x11"),)).code == 400


@clause("RFC 8656 §7.2", "a transport that is not served is 442", "UNSUPPORTED_TRANSPORT")
@pytest.mark.parametrize("protocol", [0, 1, 132, 255])
def test_another_transport_is_unsupported(client: TurnClient, protocol: int) -> None:
    transport = (Attribute.REQUESTED_TRANSPORT, bytes((protocol, 0, 0, 0)))
    assert client.request(Method.ALLOCATE, (transport,)).code == 442


@clause("RFC 8656 §7.2", "the default lifetime is granted where none is asked for", LIFETIME)
def test_the_default_lifetime_is_ten_minutes(client: TurnClient) -> None:
    assert client.allocate().lifetime == 600


@clause(
    "RFC 8656 §7.2",
    "a lifetime below the default gets the default, a long one the maximum",
    LIFETIME,
)
@pytest.mark.parametrize(
    ("asked", "granted"), [(0, 600), (1, 600), (601, 601), (3600, 3600), (2**32 - 1, 3600)]
)
def test_the_lifetime_is_held_between_bounds(client: TurnClient, asked: int, granted: int) -> None:
    lifetime = (Attribute.LIFETIME, encode_uint32(asked))
    assert client.allocate(lifetime).lifetime == granted


@clause("RFC 8656 §7.2", "a malformed LIFETIME is 400", "MALFORMED_ATTRIBUTE")
def test_a_malformed_lifetime_is_a_bad_request(client: TurnClient) -> None:
    assert client.allocate((Attribute.LIFETIME, b"\0\1")).code == 400


@clause("RFC 8656 §7.2", "without REQUESTED-ADDRESS-FAMILY the relayed address is IPv4", ALLOCATE)
def test_the_default_family_is_ipv4(client: TurnClient) -> None:
    assert client.relayed().family is Family.IPV4


@clause("RFC 8656 §7.2", "REQUESTED-ADDRESS-FAMILY chooses the family", ALLOCATE)
@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6])
def test_the_family_can_be_chosen(client: TurnClient, family: Family) -> None:
    asked = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(family))
    assert client.relayed(asked).family is family


@clause("RFC 8656 §7.2", "an unknown address family is 440", "UNSUPPORTED_FAMILY")
@pytest.mark.parametrize("family", [0, 3, 255])
def test_an_unknown_family_is_unsupported(client: TurnClient, family: int) -> None:
    asked = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(family))
    assert client.allocate(asked).code == 440


@clause("RFC 8656 §7.2", "EVEN-PORT gives an even port", ALLOCATE)
def test_a_port_can_be_even(connect: Connect) -> None:
    assert {connect().relayed(EVEN).port % 2 for _ in range(4)} == {0}


@clause("RFC 8656 §7.2", "EVEN-PORT with R keeps the next port for a RESERVATION-TOKEN", ALLOCATE)
def test_the_next_port_is_kept(connect: Connect) -> None:
    answer = connect().allocate(EVEN_AND_NEXT)
    token = answer.message.first(Attribute.RESERVATION_TOKEN)
    assert token is not None
    assert len(token) == 8
    even = answer.address(Attribute.XOR_RELAYED_ADDRESS)
    next_higher = connect().relayed((Attribute.RESERVATION_TOKEN, token))
    assert (even.port % 2, next_higher) == (0, even._replace(port=even.port + 1))


@clause("RFC 8656 §7.2", "a RESERVATION-TOKEN is good once", "UNKNOWN_TOKEN")
def test_a_token_is_used_up(connect: Connect) -> None:
    token = connect().allocate(EVEN_AND_NEXT).message.first(Attribute.RESERVATION_TOKEN) or b""
    assert connect().allocate((Attribute.RESERVATION_TOKEN, token)).code == 0
    assert connect().allocate((Attribute.RESERVATION_TOKEN, token)).code == 508


@clause("RFC 8656 §7.2", "an unknown RESERVATION-TOKEN is 508", "UNKNOWN_TOKEN")
def test_an_invented_token_is_refused(client: TurnClient) -> None:
    assert client.allocate((Attribute.RESERVATION_TOKEN, b"01234567")).code == 508


@clause("RFC 8656 §7.2", "RESERVATION-TOKEN with EVEN-PORT is 400", "TOKEN_AND_EVEN_PORT")
def test_a_token_goes_without_even_port(client: TurnClient) -> None:
    assert client.allocate((Attribute.RESERVATION_TOKEN, bytes(8)), EVEN).code == 400


@clause(
    "RFC 8656 §7.2", "RESERVATION-TOKEN with REQUESTED-ADDRESS-FAMILY is 400", "TOKEN_AND_FAMILY"
)
def test_a_token_goes_without_a_family(client: TurnClient) -> None:
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, IPV4)
    assert client.allocate((Attribute.RESERVATION_TOKEN, bytes(8)), family).code == 400


@clause(
    "RFC 8656 §7.2", "relay ports are not handed out in order", "src/ferryman/server/relay_ports.py"
)
def test_relay_ports_cannot_be_guessed(connect: Connect) -> None:
    ports = [connect().relayed().port for _ in range(8)]
    steps = {later - earlier for earlier, later in itertools.pairwise(ports)}
    assert len(steps) > 4


@clause("RFC 8656 §7.2", "a client may allocate again on a 5-tuple that it has freed", ALLOCATE)
def test_a_freed_5_tuple_can_be_used_again(client: TurnClient) -> None:
    first = client.relayed()
    assert client.refresh(0).code == 0
    time.sleep(0.01)
    assert client.relayed() != first


@clause("RFC 8656 §7.2", "a dual allocation has one relayed address of each family", ALLOCATE)
def test_a_dual_allocation_has_both_families(client: TurnClient) -> None:
    answer = client.allocate(ADDITIONAL)
    assert answer.code == 0
    values = answer.message.all(Attribute.XOR_RELAYED_ADDRESS)
    assert sorted(len(value) for value in values) == [8, 20]


@clause("RFC 8656 §7.2", "ADDITIONAL-ADDRESS-FAMILY takes IPv6 only", "ADDITIONAL_FAMILY")
@pytest.mark.parametrize("family", [0, 1, 3])
def test_the_additional_family_is_ipv6(client: TurnClient, family: int) -> None:
    assert client.allocate((Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(family))).code == 400


@clause(
    "RFC 8656 §7.2",
    "ADDITIONAL-ADDRESS-FAMILY with REQUESTED-ADDRESS-FAMILY is 400",
    "FAMILY_AND_ADDITIONAL",
)
def test_an_additional_family_goes_without_a_requested_one(client: TurnClient) -> None:
    assert client.allocate(ADDITIONAL, (Attribute.REQUESTED_ADDRESS_FAMILY, IPV4)).code == 400


@clause(
    "RFC 8656 §7.2",
    "ADDITIONAL-ADDRESS-FAMILY with RESERVATION-TOKEN is 400",
    "TOKEN_AND_ADDITIONAL",
)
def test_an_additional_family_goes_without_a_token(client: TurnClient) -> None:
    assert client.allocate(ADDITIONAL, (Attribute.RESERVATION_TOKEN, bytes(8))).code == 400


@clause(
    "RFC 8656 §7.2",
    "ADDITIONAL-ADDRESS-FAMILY with EVEN-PORT and R is 400",
    "PAIR_AND_ADDITIONAL",
)
def test_an_additional_family_goes_without_a_reservation(client: TurnClient) -> None:
    assert client.allocate(ADDITIONAL, EVEN_AND_NEXT).code == 400


@clause("RFC 8656 §18.7, §18.8", "what is reserved in an attribute is not looked at", ALLOCATE)
def test_reserved_octets_and_bits_are_passed_over(client: TurnClient) -> None:
    transport = (Attribute.REQUESTED_TRANSPORT, b"\x11\xff\xff\xff")
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x01\xff\xff\xff")
    even = (Attribute.EVEN_PORT, b"\x7f")
    answer = client.request(Method.ALLOCATE, (transport, family, even))
    assert answer.code == 0
    assert answer.message.first(Attribute.RESERVATION_TOKEN) is None


@clause("RFC 8656 §7.2", "DONT-FRAGMENT in Allocate is understood", ALLOCATE)
def test_dont_fragment_is_understood(client: TurnClient) -> None:
    assert client.allocate((Attribute.DONT_FRAGMENT, b"")).code == 0
