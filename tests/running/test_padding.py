"""Whatever the server sends, its padding octets are zero, also where memory held something else
before (RFC 8489 §14, RFC 8656 §12.5)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_even_port, encode_family, encode_uint32
from tests.padding import padding_in
from tests.servers import RunningServer, start_server
from tests.tokens import NORTH, oauth_key_line
from tests.turn_client import UDP_TRANSPORT, Peer, TurnClient

SIZES = range(9)
FULL = b"\xff" * 1_200
"""Fills the places in memory that packets are put together in."""

UNKNOWN = [(0x7F01 + number, FULL[:number]) for number in range(5)]
TRANSPORTS = ["udp", "tcp"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Realm and server name have lengths that need padding."""
    lines = ["realm=ferry.example.org", "user=alice:sesame", "allow-loopback-peers", "mobility"]
    lines += ["oauth", "server-name=turn.ferry", oauth_key_line(NORTH)]
    with start_server(lines, tmp_path_factory.mktemp("padding")) as running:
        yield running


@pytest.fixture(params=TRANSPORTS)
def client(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[TurnClient]:
    stream = request.param == "tcp"
    with TurnClient(server.port, "alice", "sesame", stream=stream) as alice:
        alice.challenge()
        if not stream:
            alice.learn(alice.ask(alice.signed(Method.ALLOCATE, (UDP_TRANSPORT,))))
        yield alice
        alice.refresh(0)


def request(method: int, *attributes: tuple[int, bytes]) -> bytes:
    return encode(MessageClass.REQUEST, method, os.urandom(12), attributes)


def test_of_every_answer(client: TurnClient) -> None:
    """Refusals of every code that a client can cause, 420 with one to five types, and success."""
    packets = [request(Method.BINDING, (0xFF01, FULL))]
    packets += [request(Method.BINDING, *UNKNOWN[:count]) for count in SIZES]
    packets += [request(method, (0xFF01, FULL[:400])) for method in (3, 4, 8, 9, 0xA, 0xB)]
    said = [client.ask(packet) for packet in packets]
    for attributes in (
        *[(UDP_TRANSPORT, *UNKNOWN[:count]) for count in SIZES[1:]],
        (),
        ((Attribute.REQUESTED_TRANSPORT, b"\x63\0\0\0"),),
        (UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, bytes(8))),
        (
            UDP_TRANSPORT,
            (Attribute.EVEN_PORT, encode_even_port(True)),
            (Attribute.MOBILITY_TICKET, b""),
        ),
        (UDP_TRANSPORT,),
    ):
        said.append(client.request(Method.ALLOCATE, attributes))
    for attributes in (
        ((Attribute.LIFETIME, encode_uint32(700)),),
        ((Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(2)),),
        ((Attribute.MOBILITY_TICKET, bytes(32)),),
    ):
        said.append(client.request(Method.REFRESH, attributes))
    said += [client.request(method) for method in (8, 9, 0xA, 0xB)]
    codes = {answer.code for answer in said}
    assert codes >= {0, 400, 401, 420, 437, 442, 443, 508}
    for answer in said:
        assert not any(padding_in(answer.packet)), answer.packet.hex()
    assert any(padding_in(answer.packet) == b"" for answer in said)
    assert sum(len(padding_in(answer.packet)) for answer in said) > 20, "this would show nothing"


def test_of_data_indications(client: TurnClient) -> None:
    with Peer() as peer:
        relayed = client.relayed()
        client.permit(peer.address)
        for size in SIZES:
            for payload in (FULL, FULL[:size]):
                peer.send(relayed, payload)
                indication = client.receive()
            assert indication[:2] == b"\x00\x17"
            padding = padding_in(indication)
            assert padding == bytes(-size % 4)


def test_of_channel_data(client: TurnClient) -> None:
    """Over TCP there is padding, over UDP there is none."""
    with Peer() as peer:
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        for size in SIZES:
            for payload in (FULL, FULL[:size]):
                peer.send(relayed, payload)
                expected = b"\x40\x00" + len(payload).to_bytes(2, "big") + payload
                expected += bytes(-len(payload) % 4) if client.stream else b""
                assert read_exactly(client, len(expected)) == expected
        assert client.is_silent(0.1)


def read_exactly(client: TurnClient, length: int) -> bytes:
    """As it came, with what no reader of frames would show."""
    octets = b""
    while len(octets) < length:
        octets += client.socket.recv(length - len(octets) if client.stream else 65_536)
    return octets
