"""Clients sent to other servers: RFC 8489 §10, RFC 8656 §7.2."""

from __future__ import annotations

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.engine.alternate import Alternate, Alternates
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import Settings
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import decode_address_untrusted
from tests.conformance.clause import clause
from tests.engine.desk import PASSWORDS, REALM, RELAY_V4, UDP_TRANSPORT, Client, Decided, Desk

FIRST = Alternate(Address.of("192.0.2.11", 3478))
SECOND = Alternate(Address.of("192.0.2.12", 3479), "two.example")
SIXTH = Alternate(Address.of("2001:db8::6", 3478), "two.example")
SECURE = Alternate(Address.of("192.0.2.13", 5349), "three.example")
EVERYWHERE = dict.fromkeys(Transport, (FIRST, SECOND, SIXTH))
V6 = "2001:db8:9::9"


def client_of(
    *alternates: Alternate,
    transport: Transport = Transport.UDP,
    host: str = "203.0.113.9",
    port: int = 40_000,
    desk: Desk | None = None,
) -> Client:
    desk = desk or Desk()
    desk.state.alternates = Alternates(dict.fromkeys(Transport, alternates), frozenset((3478,)))
    client = desk.client(port, host=host)
    client.five_tuple = FiveTuple(transport, *client.five_tuple[1:])
    return client


def sent_to(answer: Decided) -> Address:
    assert answer.code == 300
    value = answer.message.first(Attribute.ALTERNATE_SERVER)
    assert value is not None
    return decode_address_untrusted(value)


def test_a_client_that_proved_its_password_is_sent_on_in_a_signed_answer() -> None:
    answer = client_of(FIRST).allocate()
    assert sent_to(answer) == FIRST.address
    assert answer.message.verifies(long_term_key("alice", REALM, PASSWORDS["alice"]))
    (entry,) = answer.journal
    assert isinstance(entry, RefusedRequest)
    assert (entry.refusal, entry.detail) == (Refusal.TRY_ALTERNATE, "192.0.2.11:3478")
    assert answer.changes == []


def test_a_stranger_learns_of_no_other_server() -> None:
    client = client_of(FIRST)
    assert client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,))).code == 401
    wrong = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="wrong")
    assert client.send(wrong).code == 401


def test_nothing_is_spent_on_a_client_that_is_sent_on() -> None:
    client = client_of(FIRST)
    client.allocate()
    assert client.desk.given_back == []
    assert len(client.desk.state.allocations) == 0


def test_the_list_is_gone_through_in_turn_by_each_family() -> None:
    desk = Desk()
    client_of(FIRST, SECOND, SIXTH, desk=desk)
    here = [sent_to(desk.client(port).allocate()) for port in range(1, 5)]
    assert here == [FIRST.address, SECOND.address] * 2
    there = [sent_to(desk.client(port, host=V6).allocate()) for port in range(1, 3)]
    assert there == [SIXTH.address] * 2


def test_a_request_that_is_sent_again_is_sent_to_the_same_server() -> None:
    client = client_of(FIRST, SECOND)
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))
    assert sent_to(client.send(packet)) == sent_to(client.send(packet)) == FIRST.address


@clause(
    "RFC 8489 §10, §14.15",
    "ALTERNATE-SERVER is of the family of the request",
    "src/ferryman/engine/alternate.py",
)
def test_a_client_of_a_family_that_no_other_server_has_is_served_here() -> None:
    assert client_of(FIRST, SECOND, host=V6).allocate().code == 0


def test_a_server_that_stands_in_the_list_serves() -> None:
    itself = Alternate(Address.of(RELAY_V4, 3478))
    assert client_of(FIRST, itself).allocate().code == 0
    assert client_of(FIRST, itself, host=V6).allocate().code == 0
    other_port = Alternate(Address.of(RELAY_V4, 3999))
    assert client_of(other_port).allocate().code == 300


@clause(
    "RFC 8489 §14.16",
    "ALTERNATE-DOMAIN goes to TLS and DTLS clients",
    "src/ferryman/engine/alternate.py",
)
@pytest.mark.parametrize(
    ("transport", "named"),
    [
        (Transport.UDP, False),
        (Transport.TCP, False),
        (Transport.TLS, True),
        (Transport.DTLS, True),
    ],
)
def test_the_domain_goes_to_those_who_check_a_certificate(
    transport: Transport, named: bool
) -> None:
    # RFC 8489 §10: the name that the certificate of the other server has to hold.
    answer = client_of(SECOND, transport=transport).allocate()
    expected = b"two.example" if named else None
    assert answer.message.first(Attribute.ALTERNATE_DOMAIN) == expected


def test_an_address_has_no_domain() -> None:
    answer = client_of(FIRST, transport=Transport.TLS).allocate()
    assert answer.message.first(Attribute.ALTERNATE_DOMAIN) is None


def test_each_transport_has_its_list() -> None:
    desk = Desk()
    desk.state.alternates = Alternates({Transport.TLS: (SECURE,), Transport.TCP: (FIRST,)})
    codes = {}
    for transport in Transport:
        client = desk.client(1 + transport)
        client.five_tuple = FiveTuple(transport, *client.five_tuple[1:])
        answer = client.allocate()
        codes[transport] = sent_to(answer) if answer.code else None
    assert codes == {
        Transport.UDP: None,
        Transport.TCP: FIRST.address,
        Transport.TLS: SECURE.address,
        Transport.DTLS: None,
    }


def test_who_has_an_allocation_here_keeps_it() -> None:
    client = client_of()
    assert client.allocate().code == 0
    client.desk.state.alternates = Alternates(EVERYWHERE)
    assert client.allocate().code == 437
    assert client.refresh().code == 0


@pytest.mark.parametrize("host", ["203.0.113.9", V6])
def test_without_credentials_the_answer_stays_small(host: str) -> None:
    desk = Desk(Settings(realm=REALM, authenticated=False))
    client = client_of(FIRST, SECOND, SIXTH, desk=desk, host=host)
    packet = client.plain(Method.ALLOCATE, (UDP_TRANSPORT,))
    for _ in range(3):
        answer = client.send(packet)
        assert answer.code == 300
        assert answer.message.first(Attribute.MESSAGE_INTEGRITY) is None
        assert len(answer.packet) <= 4 * len(packet)
