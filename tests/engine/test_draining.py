"""A server that is about to end (RFC 8656 §7.4): no new allocations, and those that are there go
on."""

from __future__ import annotations

from ferryman.engine.alternate import Alternate, Alternates
from ferryman.engine.five_tuple import Transport
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_address_untrusted
from tests.engine.desk import PEER, RELAY_V4, Client, Desk
from tests.engine.test_allocate import reserve

HERE = Alternate(Address.of(RELAY_V4, 3478))
ELSEWHERE = Alternate(Address.of("192.0.2.11", 3478))


def draining(*alternates: Alternate) -> Client:
    desk = Desk()
    desk.state.alternates = Alternates(dict.fromkeys(Transport, alternates), frozenset((3478,)))
    desk.state.draining = True
    return desk.client()


def test_a_new_allocation_is_forbidden() -> None:
    client = draining()
    answer = client.allocate()
    assert answer.code == 403
    (entry,) = answer.journal
    assert isinstance(entry, RefusedRequest)
    assert entry.refusal is Refusal.DRAINING
    assert client.desk.given_back == [], "no relay port was asked for"


def test_a_new_client_is_sent_to_another_server_where_there_is_one() -> None:
    answer = draining(HERE, ELSEWHERE).allocate()
    assert answer.code == 300
    value = answer.message.first(Attribute.ALTERNATE_SERVER)
    assert value is not None
    assert decode_address_untrusted(value) == ELSEWHERE.address


def test_a_server_that_names_itself_alone_sends_nobody_to_itself() -> None:
    assert draining(HERE).allocate().code == 403


def test_an_allocation_that_is_there_goes_on() -> None:
    client = Desk().client()
    assert client.allocate().code == 0
    client.desk.state.draining = True
    assert client.refresh(600).code == 0
    assert client.permit(PEER).code == 0
    assert client.bind(0x4000, PEER).code == 0
    assert client.allocate().code == 437
    assert client.refresh(0).code == 0
    assert client.allocate().code == 403


def test_a_reserved_port_is_not_given_any_more() -> None:
    desk = Desk()
    _, token = reserve(desk)
    desk.state.draining = True
    assert desk.client(40_001).allocate(token).code == 403
