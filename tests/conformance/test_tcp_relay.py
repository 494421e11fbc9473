"""TCP towards peers: RFC 6062."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    decode_xor_address_untrusted,
    encode_even_port,
    encode_requested_transport,
    encode_xor_address,
)
from tests.answer import Answer
from tests.conformance.clause import clause
from tests.conformance.conftest import Connect
from tests.conformance.crafting import plain
from tests.conformance.subject import Subject
from tests.turn_client import TIMEOUT, Peer, TurnClient

TCP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6))
ALLOCATE = "src/ferryman/engine/allocate.py"
CONNECT = "src/ferryman/engine/connect.py"
BIND = "src/ferryman/engine/connection_bind.py"
RELAY = "native/udp/src/tcp_relay.rs"


class Listener:
    """A peer that takes TCP connections."""

    def __init__(self, host: str) -> None:
        self.accepted: list[socket.socket] = []
        self.socket = socket.create_server((host, 0))
        self.socket.settimeout(TIMEOUT)
        self.address = Address.of(*self.socket.getsockname()[:2])

    def accept(self) -> tuple[socket.socket, Address]:
        connection, source = self.socket.accept()
        connection.settimeout(TIMEOUT)
        self.accepted.append(connection)
        return connection, Address.of(*source[:2])

    def close(self) -> None:
        for each in (self.socket, *self.accepted):
            each.close()


@pytest.fixture
def listener(subject: Subject) -> Iterator[Listener]:
    listener = Listener(subject.peer_host)
    yield listener
    listener.close()


@pytest.fixture
def allocation(connect: Connect) -> tuple[TurnClient, Address]:
    """A TCP client with a TCP allocation, and its relayed address."""
    client = connect(stream=True)
    answer = client.request(Method.ALLOCATE, (TCP_TRANSPORT,))
    assert answer.code == 0
    return client, answer.address(Attribute.XOR_RELAYED_ADDRESS)


@pytest.fixture
def control(allocation: tuple[TurnClient, Address]) -> TurnClient:
    return allocation[0]


@pytest.fixture
def relayed(allocation: tuple[TurnClient, Address]) -> Address:
    return allocation[1]


def ask_connect(client: TurnClient, peer: Address) -> Answer:
    transaction_id = os.urandom(12)
    where = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
    return client.ask(client.signed(Method.CONNECT, (where,), transaction_id))


def connection_id(answer: Answer) -> tuple[int, bytes]:
    value = answer.message.first(Attribute.CONNECTION_ID)
    assert value is not None
    assert len(value) == 4
    return (Attribute.CONNECTION_ID, value)


def bind_connection(client: TurnClient, answer: Answer | bytes) -> int:
    """The code of ConnectionBind's answer; what follows it on the stream is left to read."""
    if isinstance(answer, Answer):
        answer = connection_id(answer)[1]
    number = (Attribute.CONNECTION_ID, answer)
    challenge = client.ask(plain(Method.CONNECTION_BIND, [number])).message
    client.realm = (challenge.first(Attribute.REALM) or b"").decode()
    client.nonce = challenge.first(Attribute.NONCE) or b""
    client.send(client.signed(Method.CONNECTION_BIND, (number,)))
    head = receive(client.socket, 20)
    packet = head + receive(client.socket, int.from_bytes(head[2:4], "big"))
    return Answer(decode_untrusted(packet), packet).code


def receive(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        piece = connection.recv(count - len(got))
        assert piece, "the connection ended early"
        got += piece
    return got


@clause("RFC 6062 §5.1", "a TCP allocation is made over TCP only", "TCP_OVER_DATAGRAMS")
def test_a_udp_client_gets_no_tcp_allocation(client: TurnClient) -> None:
    assert client.request(Method.ALLOCATE, (TCP_TRANSPORT,)).code == 400


@clause(
    "RFC 6062 §5.1",
    "DONT-FRAGMENT, EVEN-PORT and RESERVATION-TOKEN do not go with it: 400",
    "TCP_WITH_UDP_ATTRIBUTE",
)
@pytest.mark.parametrize(
    "beside",
    [
        (Attribute.DONT_FRAGMENT, b""),
        (Attribute.RESERVATION_TOKEN, bytes(8)),
        (Attribute.EVEN_PORT, encode_even_port(False)),
    ],
)
def test_what_is_for_udp_does_not_go_with_tcp(connect: Connect, beside: tuple[int, bytes]) -> None:
    answer = connect(stream=True).request(Method.ALLOCATE, (TCP_TRANSPORT, beside))
    assert answer.code == 400


@clause("RFC 6062 §5.2", "Connect opens a connection from the relayed address", CONNECT)
def test_connect_reaches_the_peer(
    control: TurnClient, relayed: Address, listener: Listener
) -> None:
    answer = ask_connect(control, listener.address)
    assert answer.code == 0
    connection_id(answer)
    connection, source = listener.accept()
    assert source == relayed
    connection.close()


@clause("RFC 6062 §5.4, §5.5", "after ConnectionBind the two connections are one", BIND)
def test_bound_connections_are_one(
    connect: Connect, control: TurnClient, listener: Listener
) -> None:
    answer = ask_connect(control, listener.address)
    peer, _ = listener.accept()
    peer.sendall(b"before the bind")
    channel = connect(stream=True)
    assert bind_connection(channel, answer) == 0
    assert receive(channel.socket, 15) == b"before the bind"
    channel.send(b"\x00\x01any octets at all")
    assert receive(peer, 19) == b"\x00\x01any octets at all"
    peer.sendall(b"x" * 100_000)
    assert receive(channel.socket, 100_000) == b"x" * 100_000
    peer.close()


@clause("RFC 6062 §5.5", "when one side closes, so does the other", RELAY)
def test_the_end_is_passed_on(connect: Connect, control: TurnClient, listener: Listener) -> None:
    answer = ask_connect(control, listener.address)
    peer, _ = listener.accept()
    channel = connect(stream=True)
    assert bind_connection(channel, answer) == 0
    peer.close()
    assert channel.socket.recv(100) == b""


@clause("RFC 6062 §5.2", "a second Connect to the same peer is 446", "CONNECTION_EXISTS")
def test_a_peer_is_connected_once(control: TurnClient, listener: Listener) -> None:
    assert ask_connect(control, listener.address).code == 0
    assert ask_connect(control, listener.address).code == 446


@clause("RFC 6062 §5.2", "a peer that does not answer is 447", "CONNECTION_FAILED")
def test_a_refused_connection_is_told(control: TurnClient, listener: Listener) -> None:
    listener.socket.close()
    assert ask_connect(control, listener.address).code == 447


@clause("RFC 6062 §5.2", "Connect without an allocation is 437", "NO_ALLOCATION")
def test_connect_needs_an_allocation(connect: Connect, listener: Listener) -> None:
    client = connect(stream=True)
    client.challenge()
    assert ask_connect(client, listener.address).code == 437


@clause("RFC 6062 §5.2", "Connect on a UDP allocation is refused", "CONNECT_FROM_UDP")
def test_connect_needs_a_tcp_allocation(client: TurnClient, listener: Listener) -> None:
    client.relayed()
    assert ask_connect(client, listener.address).code in (400, 403, 437)


@clause("RFC 6062 §5.2", "Connect without XOR-PEER-ADDRESS is 400", "CONNECT_TO_NOBODY")
def test_connect_names_a_peer(control: TurnClient) -> None:
    assert control.request(Method.CONNECT).code == 400


@clause("RFC 6062 §5.2", "a peer that the rules forbid is 403", "FORBIDDEN_PEER")
def test_a_forbidden_peer_is_refused(control: TurnClient) -> None:
    assert ask_connect(control, Address.of("169.254.169.254", 80)).code == 403


@clause("RFC 6062 §5.4", "an unknown CONNECTION-ID is 400", "UNKNOWN_CONNECTION")
def test_an_unknown_connection_cannot_be_bound(connect: Connect) -> None:
    channel = connect(stream=True)
    invented = (Attribute.CONNECTION_ID, b"\x12\x34\x56\x78")
    assert channel.request(Method.CONNECTION_BIND, (invented,)).code == 400


@clause("RFC 6062 §5.4", "ConnectionBind over UDP is 400", "BIND_OVER_DATAGRAMS")
def test_a_datagram_cannot_be_bound(
    client: TurnClient, control: TurnClient, listener: Listener
) -> None:
    answer = ask_connect(control, listener.address)
    assert client.request(Method.CONNECTION_BIND, (connection_id(answer),)).code == 400


@clause("RFC 6062 §7", "a CONNECTION-ID is of no use to another user", "UNKNOWN_CONNECTION")
@clause("RFC 6062 §5.4", "a connection is bound by the user of its allocation only", BIND)
def test_somebody_else_cannot_bind(
    connect: Connect, control: TurnClient, listener: Listener, subject: Subject
) -> None:
    answer = ask_connect(control, listener.address)
    thief = connect(stream=True, account=subject.other_account())
    assert thief.request(Method.CONNECTION_BIND, (connection_id(answer),)).code in (400, 441)
    owner = connect(stream=True)
    assert bind_connection(owner, answer) == 0


@clause("RFC 6062 §5.4", "a connection is bound once", BIND)
def test_a_connection_is_bound_once(
    connect: Connect, control: TurnClient, listener: Listener
) -> None:
    answer = ask_connect(control, listener.address)
    first, second = connect(stream=True), connect(stream=True)
    assert bind_connection(first, answer) == 0
    assert second.request(Method.CONNECTION_BIND, (connection_id(answer),)).code == 400


@clause("RFC 6062 §5.3", "a connection from a permitted peer is told in ConnectionAttempt", RELAY)
def test_a_permitted_peer_may_connect(
    connect: Connect, control: TurnClient, relayed: Address, peer: Peer
) -> None:
    assert control.permit(peer.address).code == 0
    with socket.create_connection((relayed.host, relayed.port), TIMEOUT) as caller:
        message = decode_untrusted(control.receive())
        assert message.method == Method.CONNECTION_ATTEMPT
        assert message.message_class is MessageClass.INDICATION
        where = message.first(Attribute.XOR_PEER_ADDRESS)
        number = message.first(Attribute.CONNECTION_ID)
        assert where is not None
        assert number is not None
        source = Address.of(*caller.getsockname()[:2])
        assert decode_xor_address_untrusted(where, message.transaction_id) == source
        channel = connect(stream=True)
        assert bind_connection(channel, number) == 0
        caller.sendall(b"hello")
        assert receive(channel.socket, 5) == b"hello"


@clause("RFC 6062 §5.3", "a connection from a peer without permission is closed", RELAY)
def test_a_stranger_may_not_connect(control: TurnClient, relayed: Address) -> None:
    with socket.create_connection((relayed.host, relayed.port), TIMEOUT) as caller:
        caller.settimeout(TIMEOUT)
        with contextlib.suppress(ConnectionResetError):
            assert caller.recv(1) == b""
    assert control.is_silent()


@clause("RFC 6062 §5.1", "when the allocation ends, so do its data connections", RELAY)
def test_data_connections_end_with_the_allocation(
    connect: Connect, control: TurnClient, listener: Listener
) -> None:
    answer = ask_connect(control, listener.address)
    peer, _ = listener.accept()
    channel = connect(stream=True)
    assert bind_connection(channel, answer) == 0
    assert control.refresh(0).code == 0
    assert peer.recv(10) == b""


@clause("RFC 6062 §5.2", "Connect to port 0 is 400", "CONNECT_TO_PORT_0")
def test_a_connection_needs_a_port(control: TurnClient, listener: Listener) -> None:
    assert ask_connect(control, listener.address._replace(port=0)).code == 400


@clause("RFC 6062 §5.4", "ConnectionBind without CONNECTION-ID is 400", "NO_CONNECTION_ID")
def test_a_bind_names_its_connection(connect: Connect) -> None:
    assert connect(stream=True).request(Method.CONNECTION_BIND).code == 400


@clause("RFC 6062 §4.3", "data goes over a connection of its own", "BIND_ON_CONTROL")
def test_the_control_connection_cannot_be_bound(control: TurnClient, listener: Listener) -> None:
    answer = ask_connect(control, listener.address)
    assert control.request(Method.CONNECTION_BIND, (connection_id(answer),)).code == 400


@clause("RFC 6062 §3", "a TCP allocation has no channels", "CHANNEL_OVER_TCP")
def test_a_tcp_allocation_has_no_channels(control: TurnClient, listener: Listener) -> None:
    assert control.bind(0x4000, listener.address).code in (400, 403, 437)


@clause("RFC 8016 §3.1", "a TCP allocation does not move", "MOBILITY_OF_TCP")
def test_a_tcp_allocation_does_not_move(connect: Connect) -> None:
    wanted = (Attribute.MOBILITY_TICKET, b"")
    answer = connect(stream=True).request(Method.ALLOCATE, (TCP_TRANSPORT, wanted))
    assert answer.code == 405
