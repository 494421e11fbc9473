"""NAT behaviour discovery: RFC 5780 §6, §7."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import Message, decode_untrusted
from ferryman.wire.registry import Attribute
from ferryman.wire.values import (
    decode_address_untrusted,
    decode_error_untrusted,
    decode_xor_address_untrusted,
)
from tests.conformance.clause import BINDING, clause
from tests.conformance.conftest import Connect
from tests.conformance.crafting import plain
from tests.turn_client import TIMEOUT, Peer, TurnClient

BINDING_REQUEST = 0x0001
CHANGE_IP, CHANGE_PORT = 0x04, 0x02


def change(flags: int) -> tuple[int, bytes]:
    return (Attribute.CHANGE_REQUEST, struct.pack(">I", flags))


def address(message: Message, attribute: int) -> Address:
    value = message.first(attribute)
    assert value is not None
    return decode_address_untrusted(value)


def code(message: Message) -> int:
    error = message.first(Attribute.ERROR_CODE)
    return 0 if error is None else decode_error_untrusted(error)[0]


class Asker:
    """Asks from an unconnected socket, so that an answer may come from anywhere."""

    def __init__(self, client: TurnClient) -> None:
        host, port = client.socket.getpeername()[:2]
        self.server = Address.of(host, port)
        self.socket = Peer(client.socket.getsockname()[0])

    def ask(
        self, *attributes: tuple[int, bytes], server: Address | None = None
    ) -> tuple[Message, Address, int]:
        """The answer, where it came from, and its length."""
        self.socket.send(server or self.server, plain(BINDING_REQUEST, attributes))
        packet, source = self.socket.receive()
        return decode_untrusted(packet), source, len(packet)


@pytest.fixture
def anywhere(client: TurnClient) -> Iterator[Asker]:
    asker = Asker(client)
    with asker.socket:
        yield asker


@clause(
    "RFC 5780 §7.3, §7.4",
    "RESPONSE-ORIGIN is where the answer left, OTHER-ADDRESS differs in both",
    BINDING,
)
def test_a_binding_answer_names_both_addresses(anywhere: Asker) -> None:
    message, source, _ = anywhere.ask()
    assert address(message, Attribute.RESPONSE_ORIGIN) == source == anywhere.server
    other = address(message, Attribute.OTHER_ADDRESS)
    assert other.ip != source.ip
    assert other.port != source.port


@clause("RFC 8489 §14.1", "MAPPED-ADDRESS has the address as it is", "native/flow/src/binding.rs")
@clause("RFC 5780 §6.1", "an answer has MAPPED-ADDRESS beside XOR-MAPPED-ADDRESS", BINDING)
def test_the_mapped_address_is_told_in_both_ways(anywhere: Asker) -> None:
    message, _, _ = anywhere.ask()
    here = anywhere.socket.address
    assert address(message, Attribute.MAPPED_ADDRESS) == here
    masked = message.first(Attribute.XOR_MAPPED_ADDRESS) or b""
    assert decode_xor_address_untrusted(masked, message.transaction_id) == here


@clause(
    "RFC 5780 §6, §6.1",
    "each of the four addresses answers, and OTHER-ADDRESS is its opposite, whatever is changed",
    BINDING,
)
@pytest.mark.parametrize("flags", [0, CHANGE_IP, CHANGE_PORT, CHANGE_IP | CHANGE_PORT])
def test_all_four_addresses_serve_and_know_their_opposite(anywhere: Asker, flags: int) -> None:
    here = anywhere.server
    message, _, _ = anywhere.ask()
    other = address(message, Attribute.OTHER_ADDRESS)
    for ip, opposite_ip in ((here.ip, other.ip), (other.ip, here.ip)):
        for port, opposite_port in ((here.port, other.port), (other.port, here.port)):
            asked = Address(ip, port)
            message, source, _ = anywhere.ask(change(flags), server=asked)
            opposite = Address(opposite_ip, opposite_port)
            assert address(message, Attribute.OTHER_ADDRESS) == opposite
            expected = Address(
                opposite.ip if flags & CHANGE_IP else ip,
                opposite.port if flags & CHANGE_PORT else port,
            )
            assert source == address(message, Attribute.RESPONSE_ORIGIN) == expected


@clause("RFC 5780 §7.2", "CHANGE-REQUEST has four octets: else 400", BINDING)
@pytest.mark.parametrize("value", [b"", b"\0\x06", bytes(3), bytes(8)])
def test_a_malformed_change_request_is_a_bad_request(anywhere: Asker, value: bytes) -> None:
    message, source, _ = anywhere.ask((Attribute.CHANGE_REQUEST, value))
    assert (code(message), source) == (400, anywhere.server)


@clause("RFC 5780 §7.2", "the other bits of CHANGE-REQUEST change nothing", BINDING)
def test_bits_without_a_meaning_are_passed_over(anywhere: Asker) -> None:
    message, source, _ = anywhere.ask(change(0xFFFFFFFF & ~(CHANGE_IP | CHANGE_PORT)))
    assert (code(message), source) == (0, anywhere.server)


@clause("RFC 5780 §6.1, §7.2", "CHANGE-REQUEST chooses the address that answers", BINDING)
@pytest.mark.parametrize("flags", [0, CHANGE_IP, CHANGE_PORT, CHANGE_IP | CHANGE_PORT])
def test_the_answer_comes_from_elsewhere(anywhere: Asker, flags: int) -> None:
    message, _, _ = anywhere.ask()
    other = address(message, Attribute.OTHER_ADDRESS)
    here = anywhere.server
    expected = Address(
        other.ip if flags & CHANGE_IP else here.ip, other.port if flags & CHANGE_PORT else here.port
    )
    message, source, _ = anywhere.ask(change(flags))
    assert source == expected
    assert address(message, Attribute.RESPONSE_ORIGIN) == expected


@clause(
    "RFC 5780 §7.5", "RESPONSE-PORT sends the answer to another port of the same client", BINDING
)
def test_the_answer_goes_to_another_port(anywhere: Asker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
        waiting.bind((anywhere.socket.address.host, 0))
        waiting.settimeout(TIMEOUT)
        port = waiting.getsockname()[1]
        where = (Attribute.RESPONSE_PORT, struct.pack(">Hxx", port))
        anywhere.socket.send(anywhere.server, plain(BINDING_REQUEST, [where]))
        message = decode_untrusted(waiting.recv(2048))
    assert message.first(Attribute.XOR_MAPPED_ADDRESS) is not None


@clause("RFC 5780 §6.1, §7.5", "RESPONSE-PORT goes together with CHANGE-REQUEST", BINDING)
def test_the_answer_goes_to_another_port_from_another_address(anywhere: Asker) -> None:
    other = address(anywhere.ask()[0], Attribute.OTHER_ADDRESS)
    with Peer(anywhere.socket.address.host) as waiting:
        where = (Attribute.RESPONSE_PORT, struct.pack(">Hxx", waiting.address.port))
        both = [where, change(CHANGE_IP | CHANGE_PORT)]
        anywhere.socket.send(anywhere.server, plain(BINDING_REQUEST, both))
        packet, source = waiting.receive()
    assert source == other
    mapped = address(decode_untrusted(packet), Attribute.MAPPED_ADDRESS)
    assert mapped == anywhere.socket.address


@clause(
    "RFC 5780 §7.5", "a malformed RESPONSE-PORT is 400, to where the request came from", BINDING
)
@pytest.mark.parametrize("value", [b"", b"\x10", b"\x10\0\0", bytes(4), bytes(8)])
def test_a_malformed_response_port_is_a_bad_request(anywhere: Asker, value: bytes) -> None:
    message, _, _ = anywhere.ask((Attribute.RESPONSE_PORT, value))
    assert code(message) == 400


@clause(
    "RFC 5780 §6.1, §7.6", "PADDING is answered with PADDING, a multiple of four octets", BINDING
)
@pytest.mark.parametrize("length", [1000, 1001, 1003])
def test_padding_is_answered(anywhere: Asker, length: int) -> None:
    message, _, _ = anywhere.ask((Attribute.PADDING, bytes(length)))
    padding = message.first(Attribute.PADDING)
    assert padding is not None
    assert len(padding) % 4 == 0
    assert len(padding) >= length


@clause("RFC 5780 §7.5", "RESPONSE-PORT reaches no other IP than the client's", BINDING)
def test_an_answer_goes_to_no_other_host(anywhere: Asker) -> None:
    if not anywhere.socket.address.ip.startswith(b"\x7f"):
        pytest.skip("another address of this machine is needed to listen on")
    with Peer("127.0.0.3") as victim:
        port = victim.address.port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waiting:
            waiting.bind((anywhere.socket.address.host, port))
            waiting.settimeout(TIMEOUT)
            where = (Attribute.RESPONSE_PORT, struct.pack(">Hxx", port))
            anywhere.socket.send(anywhere.server, plain(BINDING_REQUEST, [where]))
            assert decode_untrusted(waiting.recv(2048)).first(Attribute.XOR_MAPPED_ADDRESS)
        assert victim.is_silent()


@clause("RFC 5780 §6.1", "PADDING together with RESPONSE-PORT is 400", BINDING)
def test_padding_and_response_port_do_not_go_together(anywhere: Asker) -> None:
    where = (Attribute.RESPONSE_PORT, struct.pack(">Hxx", 9))
    message, _, _ = anywhere.ask((Attribute.PADDING, bytes(100)), where)
    assert code(message) == 400


@clause("RFC 5780 §10", "no answer is larger than four times its request", BINDING)
@pytest.mark.parametrize("length", [0, 4, 64, 1024])
def test_padding_does_not_amplify(anywhere: Asker, length: int) -> None:
    padding = (Attribute.PADDING, bytes(length))
    _, _, size = anywhere.ask(padding)
    assert size <= 4 * len(plain(BINDING_REQUEST, [padding]))


@clause("RFC 5780 §6.1", "over TCP the addresses are told and cannot be changed", BINDING)
def test_a_stream_cannot_be_answered_from_elsewhere(connect: Connect) -> None:
    client = connect(stream=True)
    assert client.ask(plain(BINDING_REQUEST, [change(CHANGE_PORT)])).code in (400, 420)
    plainly = client.ask(plain(BINDING_REQUEST)).message
    assert plainly.first(Attribute.OTHER_ADDRESS) is not None
    assert plainly.first(Attribute.RESPONSE_ORIGIN) is not None
