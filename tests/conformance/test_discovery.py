"""NAT behaviour discovery: RFC 5780 §6, §7."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import Message, decode_untrusted
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_address_untrusted
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


class Asker:
    """Asks from an unconnected socket, so that an answer may come from anywhere."""

    def __init__(self, client: TurnClient) -> None:
        host, port = client.socket.getpeername()[:2]
        self.server = Address.of(host, port)
        self.socket = Peer(client.socket.getsockname()[0])

    def ask(self, *attributes: tuple[int, bytes]) -> tuple[Message, Address, int]:
        """The answer, where it came from, and its length."""
        self.socket.send(self.server, plain(BINDING_REQUEST, attributes))
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


@clause("RFC 5780 §7.6", "PADDING is answered with PADDING", BINDING)
def test_padding_is_answered(anywhere: Asker) -> None:
    message, _, _ = anywhere.ask((Attribute.PADDING, bytes(1000)))
    assert message.first(Attribute.PADDING) is not None


@clause("RFC 5780 §6.1", "PADDING together with RESPONSE-PORT is 400", BINDING)
def test_padding_and_response_port_do_not_go_together(anywhere: Asker) -> None:
    where = (Attribute.RESPONSE_PORT, struct.pack(">Hxx", 9))
    message, _, _ = anywhere.ask((Attribute.PADDING, bytes(100)), where)
    assert message.first(Attribute.ERROR_CODE) is not None


@clause("RFC 5780 §9", "no answer is larger than four times its request", BINDING)
@pytest.mark.parametrize("length", [0, 4, 64, 1024])
def test_padding_does_not_amplify(anywhere: Asker, length: int) -> None:
    padding = (Attribute.PADDING, bytes(length))
    _, _, size = anywhere.ask(padding)
    assert size <= 4 * len(plain(BINDING_REQUEST, [padding]))


@clause("RFC 5780 §6.1", "over TCP there is no changing of addresses", BINDING)
def test_a_stream_cannot_be_answered_from_elsewhere(connect: Connect) -> None:
    answer = connect(stream=True).ask(plain(BINDING_REQUEST, [change(CHANGE_PORT)]))
    assert answer.code in (400, 420)
