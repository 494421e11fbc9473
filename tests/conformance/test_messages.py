"""STUN messages and Binding: RFC 8489 §5, §6.3, §12, §14."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from ferryman.wire.message import Message, decode_untrusted
from ferryman.wire.registry import Attribute, MessageClass
from ferryman.wire.values import decode_types_untrusted
from tests.conformance.clause import ADMISSION, ANSWERED, BINDING, MESSAGE, STUN, TABLE, clause
from tests.conformance.conftest import Connect
from tests.conformance.crafting import fingerprinted, plain, with_length
from tests.conformance.subject import Subject
from tests.servers import has_ipv6
from tests.turn_client import UDP_TRANSPORT, TurnClient

BINDING_REQUEST = 0x0001
ALLOCATE_REQUEST = 0x0003
UNKNOWN_REQUIRED = 0x7F01
UNKNOWN_OPTIONAL = 0xFF01


@clause("RFC 8489 §12", "a Binding success says where the request came from", BINDING)
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
def test_binding_tells_the_mapped_address(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream)
    answer = client.ask(plain(BINDING_REQUEST))
    assert answer.message.message_class is MessageClass.SUCCESS
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == client.local


@clause("RFC 8489 §14.2", "an IPv6 address is masked with cookie and transaction id", BINDING)
def test_binding_tells_an_ipv6_mapped_address(connect: Connect, subject: Subject) -> None:
    if subject.host != "127.0.0.1" or not has_ipv6():
        pytest.skip("the server is not known to listen on ::1")
    client = connect(host="::1")
    answer = client.ask(plain(BINDING_REQUEST))
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == client.local


@clause("RFC 8489 §5", "an answer has the method and the transaction id of its request", BINDING)
def test_an_answer_belongs_to_its_request(client: TurnClient) -> None:
    request = plain(BINDING_REQUEST)
    answer = client.ask(request)
    assert (answer.message.method, answer.packet[:2]) == (1, b"\x01\x01")
    assert answer.message.transaction_id == request[8:20]


@clause("RFC 8489 §6.3.1", "an unknown comprehension-required attribute is 420", BINDING)
def test_an_unknown_attribute_in_binding_is_named(client: TurnClient) -> None:
    answer = client.ask(plain(BINDING_REQUEST, [(UNKNOWN_REQUIRED, b"")]))
    assert answer.code == 420
    assert unknown(answer.message) == [UNKNOWN_REQUIRED]


@clause(
    "RFC 8489 §6.3.1",
    "an unknown attribute in an authenticated request is 420",
    "UNKNOWN_ATTRIBUTE",
)
def test_an_unknown_attribute_in_allocate_is_named(client: TurnClient) -> None:
    answer = client.allocate((UNKNOWN_REQUIRED, b"1234"))
    assert answer.code == 420
    assert unknown(answer.message) == [UNKNOWN_REQUIRED]


@clause("RFC 8489 §14", "an unknown comprehension-optional attribute is passed over", MESSAGE)
def test_an_unknown_optional_attribute_is_passed_over(client: TurnClient) -> None:
    assert client.ask(plain(BINDING_REQUEST, [(UNKNOWN_OPTIONAL, b"x")])).code == 0
    assert client.allocate((UNKNOWN_OPTIONAL, b"x")).code == 0


@clause("RFC 8489 §14", "padding octets of an answer are zero", MESSAGE)
def test_padding_is_zero(client: TurnClient) -> None:
    for packet in (client.challenge().packet, client.allocate((UNKNOWN_REQUIRED, b"")).packet):
        at = 20
        while at < len(packet):
            length = int.from_bytes(packet[at + 2 : at + 4], "big")
            end = at + 4 + length
            at = end + 3 & ~3
            assert packet[end:at] == bytes(at - end)


@clause("RFC 8489 §14.7", "an answer has FINGERPRINT where its request had one", MESSAGE)
def test_fingerprint_is_answered_with_fingerprint(client: TurnClient) -> None:
    binding = client.ask(fingerprinted(plain(BINDING_REQUEST)))
    allocate = client.ask(fingerprinted(plain(ALLOCATE_REQUEST, [UDP_TRANSPORT])))
    for answer in (binding, allocate):
        assert answer.packet[-8:-4] == b"\x80\x28\x00\x04"
        assert answer.message.has_fingerprint  # decode_untrusted has checked it


@clause("RFC 8489 §6.3", "a message with a wrong FINGERPRINT is dropped", MESSAGE)
@pytest.mark.parametrize("kind", [BINDING_REQUEST, ALLOCATE_REQUEST])
def test_a_wrong_fingerprint_is_no_message(client: TurnClient, kind: int) -> None:
    packet = fingerprinted(plain(kind, [UDP_TRANSPORT]))
    client.send(packet[:-1] + bytes((packet[-1] ^ 1,)))
    assert client.is_silent()


def _bad_cookie(packet: bytes) -> bytes:
    return packet[:4] + b"\0\0\0\0" + packet[8:]


@clause("RFC 8489 §6.3", "what is no STUN message gets no answer", STUN)
@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_bad_cookie, id="no magic cookie"),
        pytest.param(lambda packet: bytes((0xC0,)) + packet[1:], id="first bits not zero"),
        pytest.param(lambda packet: with_length(packet, 4), id="length beyond the packet"),
        pytest.param(lambda packet: packet + b"\0\0\0\0", id="octets behind the length"),
        pytest.param(lambda packet: with_length(packet + b"\0\0", 2), id="length no multiple of 4"),
        pytest.param(lambda packet: packet[:19], id="shorter than a header"),
        pytest.param(
            lambda packet: with_length(packet + b"\x80\x22\x00\x09", 4),
            id="attribute beyond the message",
        ),
    ],
)
def test_what_is_no_stun_message_is_dropped(
    client: TurnClient, spoil: Callable[[bytes], bytes]
) -> None:
    client.send(spoil(plain(BINDING_REQUEST)))
    assert client.is_silent()


@clause("RFC 8489 §6.3.2", "an indication is never answered", TABLE)
@pytest.mark.parametrize("kind", [0x0011, 0x0016, 0x0017])
def test_an_indication_gets_no_answer(client: TurnClient, kind: int) -> None:
    client.send(plain(kind, [(UNKNOWN_REQUIRED, b"")]))
    assert client.is_silent()


@clause("RFC 8489 §6.3.3", "a response that nobody asked for is dropped", TABLE)
@pytest.mark.parametrize("kind", [0x0101, 0x0111, 0x0103, 0x0113])
def test_a_response_gets_no_answer(client: TurnClient, kind: int) -> None:
    client.send(plain(kind))
    assert client.is_silent()


@clause("RFC 8489 §6.2.1", "a retransmitted request gets the same answer", ANSWERED)
def test_a_retransmission_gets_the_same_answer(client: TurnClient) -> None:
    client.challenge()
    request = client.signed(0x003, [UDP_TRANSPORT])
    first, second = client.ask(request), client.ask(request)
    assert first.code == 0
    relayed = [answer.address(Attribute.XOR_RELAYED_ADDRESS) for answer in (first, second)]
    assert relayed[0] == relayed[1]


@clause("RFC 8489 §6.2.2", "over TCP, messages arrive in any pieces", "native/flow/src/stream.rs")
def test_a_stream_is_cut_anywhere(connect: Connect) -> None:
    client = connect(stream=True)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requests = [plain(BINDING_REQUEST, [(UNKNOWN_OPTIONAL, os.urandom(9))]) for _ in range(3)]
    octets = b"".join(requests)
    for at in range(len(octets)):
        client.send(octets[at : at + 1])
    ids = [decode_untrusted(client.receive()).transaction_id for _ in requests]
    assert ids == [request[8:20] for request in requests]


@clause("RFC 8489 §14", "where an attribute occurs twice, the first counts", MESSAGE)
def test_the_first_of_two_equal_attributes_counts(client: TurnClient) -> None:
    second = (Attribute.REQUESTED_TRANSPORT, b"\x99\0\0\0")
    client.challenge()
    answer = client.ask(client.signed(0x003, [UDP_TRANSPORT, second]))
    assert answer.code == 0


@clause("RFC 8489 §14.8", "ERROR-CODE is two zero octets, class and number, and a phrase", MESSAGE)
def test_an_error_has_class_number_and_phrase(client: TurnClient) -> None:
    stranger = client.challenge().message.first(Attribute.ERROR_CODE) or b""
    assert stranger[:4] == b"\0\0\x04\x01"
    assert client.allocate().code == 0
    again = client.allocate().message.first(Attribute.ERROR_CODE) or b""
    assert again[:4] == b"\0\0\x04\x25"
    assert len(again[4:].decode()) < 128


@clause("RFC 8489 §14.9, §14.10", "REALM and NONCE have fewer than 128 characters", ADMISSION)
def test_realm_and_nonce_are_short_and_need_no_quoting(client: TurnClient) -> None:
    message = client.challenge().message
    for attribute in (Attribute.REALM, Attribute.NONCE):
        text = (message.first(attribute) or b"").decode()
        assert 0 < len(text) < 128
        assert not set(text) & set('"\\\0\r\n')


@clause("RFC 8489 §14.13", "UNKNOWN-ATTRIBUTES lists each of them once", BINDING)
def test_every_unknown_attribute_is_named_once(client: TurnClient) -> None:
    twice = [(UNKNOWN_REQUIRED, b""), (0x7F02, b"12"), (UNKNOWN_REQUIRED, b"x")]
    for answer in (client.ask(plain(BINDING_REQUEST, twice)), client.allocate(*twice)):
        assert answer.code == 420
        assert unknown(answer.message) == [UNKNOWN_REQUIRED, 0x7F02]


@clause("RFC 8489 §12", "a Binding request may carry what it does not need", BINDING)
def test_a_binding_request_may_carry_what_it_does_not_need(client: TurnClient) -> None:
    extra = plain(BINDING_REQUEST, [(Attribute.USERNAME, b"a:b"), (Attribute.PRIORITY, bytes(4))])
    assert client.ask(extra).address(Attribute.XOR_MAPPED_ADDRESS) == client.local


def unknown(message: Message) -> list[int]:
    value = message.first(Attribute.UNKNOWN_ATTRIBUTES)
    assert value is not None
    return decode_types_untrusted(value)
