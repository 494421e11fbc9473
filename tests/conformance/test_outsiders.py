"""What strangers and other users must not achieve: RFC 8489 §16, RFC 8656 §21."""

from __future__ import annotations

import os

import pytest

from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_channel_number, encode_uint32, encode_xor_address
from tests.conformance.clause import ADMISSION, TABLE, clause
from tests.conformance.conftest import Connect
from tests.conformance.crafting import plain
from tests.conformance.subject import Subject
from tests.turn_client import UDP_TRANSPORT, Peer, TurnClient

FAREWELL = (Attribute.LIFETIME, encode_uint32(0))
AN_HOUR = (Attribute.LIFETIME, encode_uint32(3600))


@clause("RFC 8489 §16.1.1", "a request that was changed on the way is refused", "WRONG_PASSWORD")
def test_no_octet_of_a_request_can_be_changed(client: TurnClient) -> None:
    client.challenge()
    signed = client.signed(Method.ALLOCATE, (UDP_TRANSPORT, AN_HOUR))
    for at in (signed.index(AN_HOUR[1]) + 3, 8, len(signed) - 1):
        changed = signed[:at] + bytes((signed[at] ^ 1,)) + signed[at + 1 :]
        assert client.ask(changed).code == 401
    assert client.refresh(600).code == 437


@clause(
    "RFC 8489 §16.1.1", "a request that was recorded is of no use to another client", "STALE_NONCE"
)
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
def test_a_recorded_request_is_stale_elsewhere(connect: Connect, stream: bool) -> None:
    owner, thief = connect(), connect(stream=stream)
    owner.relayed()
    assert thief.ask(owner.signed(Method.REFRESH, (FAREWELL,))).code == 438
    assert thief.ask(owner.signed(Method.ALLOCATE, (UDP_TRANSPORT,))).code == 438
    assert owner.refresh(600).code == 0


@clause("RFC 8489 §16.1.1", "nothing that a stranger says decides what a client gets", ADMISSION)
def test_an_origin_that_was_named_before_the_password_binds_nobody(client: TurnClient) -> None:
    realms = set()
    for name in (b"https://one.example", b"https://two.example"):
        origin = (Attribute.ORIGIN, name)
        answer = client.ask(plain(Method.ALLOCATE, [UDP_TRANSPORT, origin]))
        realms.add(answer.message.first(Attribute.REALM))
        client.learn(answer)
    assert len(realms) == 1
    assert client.allocate((Attribute.ORIGIN, b"https://three.example")).code == 0
    assert client.refresh(600).code == 0


@clause("RFC 8489 §16.1.1", "who has no password learns nothing of who has one", ADMISSION)
def test_a_known_name_and_an_unknown_one_are_refused_alike(
    connect: Connect, subject: Subject
) -> None:
    name = subject.account()[0]
    wrong = connect(account=(name, "wrong")).allocate()
    unknown = connect(account=("u" * len(name), "wrong")).allocate()
    assert [answer.code for answer in (wrong, unknown)] == [401, 401]
    kinds = [[kind for kind, _ in answer.message.attributes] for answer in (wrong, unknown)]
    assert kinds[0] == kinds[1]
    assert len(wrong.packet) == len(unknown.packet)


@clause(
    "RFC 8656 §21.1.3", "a faked Refresh, permission or channel changes nothing", "WRONG_PASSWORD"
)
def test_without_the_password_an_allocation_cannot_be_changed(
    client: TurnClient, peer: Peer
) -> None:
    relayed = client.relayed()
    password, client.password = client.password, "a guess"
    assert client.refresh(0).code == 401
    assert client.permit(peer.address).code == 401
    assert client.bind(0x4000, peer.address).code == 401
    peer.send(relayed, b"not permitted")
    client.send_on(0x4000, b"no channel")
    assert client.is_silent()
    assert peer.is_silent()
    client.password = password
    assert client.refresh(600).code == 0


@clause("RFC 8656 §21.2.1", "a permission is its allocation's alone", TABLE)
def test_what_is_permitted_to_one_is_not_permitted_to_another(connect: Connect, peer: Peer) -> None:
    permitted, other = connect(), connect()
    relayed = permitted.relayed()
    elsewhere = other.relayed()
    assert permitted.permit(peer.address).code == 0
    peer.send(elsewhere, b"for the other")
    assert other.is_silent()
    other.send_to(peer.address, b"from the other")
    assert peer.is_silent()
    peer.send(relayed, b"welcome")
    assert permitted.receive_data()[1] == b"welcome"


@clause("RFC 8656 §21.3.3", "nobody manages or reads what is another's", "NO_ALLOCATION")
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
def test_from_another_5_tuple_there_is_no_allocation_even_for_its_owner(
    connect: Connect, peer: Peer, stream: bool
) -> None:
    owner, beside = connect(), connect(stream=stream)
    relayed = owner.relayed()
    assert owner.bind(0x4000, peer.address).code == 0
    transaction_id = os.urandom(12)
    number = (Attribute.CHANNEL_NUMBER, encode_channel_number(0x4000))
    whom = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer.address, transaction_id))
    beside.challenge()
    for method, attributes in (
        (Method.REFRESH, (FAREWELL,)),
        (Method.CREATE_PERMISSION, (whom,)),
        (Method.CHANNEL_BIND, (number, whom)),
    ):
        assert beside.ask(beside.signed(method, attributes, transaction_id)).code == 437
    beside.send_on(0x4000, b"not mine")
    beside.send_to(peer.address, b"nor this")
    assert peer.is_silent()
    peer.send(relayed, b"for the owner")
    assert owner.receive_channel() == (0x4000, b"for the owner")
    assert beside.is_silent()
