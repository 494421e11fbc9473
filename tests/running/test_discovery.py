"""NAT behaviour discovery over real sockets (RFC 5780): which address an answer comes from, and
where it goes.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import Message, decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import decode_address_untrusted, decode_error_untrusted
from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, start_server

TRANSACTION_ID = b"discovering!"
HERE = ("127.0.0.1", "127.0.0.2")


@pytest.fixture(scope="module")
def discovering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("rfc5780")
    outside = [f"external-ip=198.51.100.{n}/127.0.0.{n}" for n in (1, 2)]
    with start_server([*ACCOUNTS, "rfc5780", *outside], folder, addresses=HERE) as running:
        yield running


def request(*attributes: tuple[int, bytes]) -> bytes:
    return encode(MessageClass.REQUEST, Method.BINDING, TRANSACTION_ID, attributes)


@contextmanager
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((HERE[0], 0))
        client.settimeout(5)
        yield client


def told(message: Message, attribute: Attribute) -> Address:
    value = message.first(attribute)
    assert value is not None
    return decode_address_untrusted(value)


@pytest.mark.parametrize(
    ("flags", "host", "step"),
    [(0, HERE[0], 0), (4, HERE[1], 0), (2, HERE[0], 1), (6, HERE[1], 1)],
)
def test_the_answer_comes_from_where_change_request_says(
    discovering: RunningServer, flags: int, host: str, step: int
) -> None:
    with udp() as client:
        change = (Attribute.CHANGE_REQUEST, bytes((0, 0, 0, flags)))
        client.sendto(request(change), (HERE[0], discovering.port))
        answer, source = client.recvfrom(2048)
    assert source == (host, discovering.port + step)
    message = decode_untrusted(answer)
    public = host.replace("127.0.0", "198.51.100")
    assert told(message, Attribute.RESPONSE_ORIGIN) == Address.of(public, source[1])
    other = Address.of("198.51.100.2", discovering.port + 1)
    assert told(message, Attribute.OTHER_ADDRESS) == other


def test_the_alternate_address_serves_and_names_the_first(discovering: RunningServer) -> None:
    with udp() as client:
        client.sendto(request(), (HERE[1], discovering.port + 1))
        message = decode_untrusted(client.recv(2048))
    assert told(message, Attribute.OTHER_ADDRESS) == Address.of("198.51.100.1", discovering.port)


def test_the_answer_goes_to_the_response_port_of_the_same_ip(discovering: RunningServer) -> None:
    with udp() as client, udp() as listening:
        port = client.getsockname()[1]
        value = listening.getsockname()[1].to_bytes(2, "big") + bytes(2)
        client.sendto(request((Attribute.RESPONSE_PORT, value)), (HERE[0], discovering.port))
        message = decode_untrusted(listening.recv(2048))
    assert told(message, Attribute.MAPPED_ADDRESS) == Address.of(HERE[0], port)


@clause(
    "RFC 5780 §6.1, §7.6",
    "PADDING comes back as long as it was sent, up to 1500 octets",
    "native/flow/src/binding.rs",
)
def test_padding_comes_back_in_as_many_bytes(discovering: RunningServer) -> None:
    with udp() as client:
        sent = request((Attribute.PADDING, bytes(1500)))
        client.sendto(sent, (HERE[0], discovering.port))
        message = decode_untrusted(client.recv(4096))
    assert message.first(Attribute.PADDING) == bytes(1500)


def test_over_tcp_the_addresses_are_told_and_nothing_can_be_changed(
    discovering: RunningServer,
) -> None:
    change = (Attribute.CHANGE_REQUEST, bytes((0, 0, 0, 2)))
    address = (HERE[1], discovering.port + 1)
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(request() + request(change))
        octets = b""
        while len(octets) < 20 + 4 * 12 + 20 + 8 + 8:
            octets += client.recv(2048)
    told_everything, refused = octets[:68], octets[68:]
    message = decode_untrusted(told_everything)
    assert told(message, Attribute.OTHER_ADDRESS) == Address.of("198.51.100.1", discovering.port)
    assert error_of(refused) == 420


@clause(
    "RFC 5780 §6.1",
    "without an alternate address CHANGE-REQUEST and its kin are 420, and none is told",
    "native/flow/src/binding.rs",
)
def test_a_server_that_was_not_told_to_refuses(server: RunningServer) -> None:
    for attribute in (
        (Attribute.CHANGE_REQUEST, bytes((0, 0, 0, 4))),
        (Attribute.RESPONSE_PORT, b"\x10\x00\x00\x00"),
        (Attribute.PADDING, bytes(64)),
    ):
        with udp() as client:
            client.sendto(request(attribute), (HERE[0], server.port))
            assert error_of(client.recv(2048)) == 420
    with udp() as client:
        client.sendto(request(), (HERE[0], server.port))
        attributes = decode_untrusted(client.recv(2048)).attributes
    assert [number for number, _ in attributes] == [Attribute.XOR_MAPPED_ADDRESS]


def error_of(answer: bytes) -> int:
    error = decode_untrusted(answer).first(Attribute.ERROR_CODE)
    assert error is not None
    return decode_error_untrusted(error)[0]


@clause("RFC 5780 §6", "two addresses of one family are needed", "src/ferryman/server/discovery.py")
def test_the_start_ends_with_one_line_where_there_is_one_address(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="expected two listening-ip of one family"):
        start_server([*ACCOUNTS, "rfc5780"], tmp_path, addresses=HERE[:1])
