"""The running server relays TCP (RFC 6062): both ways to begin, streams as they are, and ends."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from ferryman.wire.address import Address, Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_family
from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS, Connect, connector, logged
from tests.servers import RunningServer, start_server
from tests.tcp_relay import (
    ListeningPeer,
    allocate_tcp,
    attempt,
    bind_connection,
    connect_to,
    connection_id,
    data_connection,
    dial,
    receive_exactly,
    relayed_tcp,
)
from tests.turn_client import Peer, TurnClient

IPV6 = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))

families = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side closes within the time-out, cleanly or not."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def dialled(
    connect: Connect, control: TurnClient, peer: ListeningPeer
) -> tuple[socket.socket, ...]:
    """The client's data connection and the peer's end of it, begun by the client."""
    identity = connection_id(connect_to(control, peer.address))
    accepted, _ = peer.accept()
    return data_connection(connect, identity), accepted


@families
def test_a_client_connects_to_a_peer(connect: Connect, host: str) -> None:
    control = connect(stream=True)
    relayed = relayed_tcp(control, *([IPV6] if ":" in host else []))
    with ListeningPeer(host) as peer:
        answer = connect_to(control, peer.address)
        assert answer.code == 0
        accepted, source = peer.accept()
        assert source == relayed
        data = data_connection(connect, connection_id(answer))
        data.sendall(b"hello peer")
        assert receive_exactly(accepted, 10) == b"hello peer"
        accepted.sendall(b"hello client")
        assert receive_exactly(data, 12) == b"hello client"


@families
def test_a_peer_connects_to_a_client(connect: Connect, host: str) -> None:
    control = connect(stream=True)
    relayed = relayed_tcp(control, *([IPV6] if ":" in host else []))
    assert control.permit(Address.of(host, 0)).code == 0
    with dial(relayed) as peer:
        source, identity = attempt(control)
        assert source == Address.of(*peer.getsockname()[:2])
        data = data_connection(connect, identity)
        peer.sendall(b"hello client")
        assert receive_exactly(data, 12) == b"hello client"
        data.sendall(b"hello peer")
        assert receive_exactly(peer, 10) == b"hello peer"


def test_many_peers_at_once(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    pairs = []
    peers = [ListeningPeer() for _ in range(8)]
    for peer in peers:
        pairs.append(dialled(connect, control, peer))
    for number, (data, accepted) in enumerate(pairs):
        data.sendall(b"%d" % number)
        accepted.sendall(b"%d" % (9 - number))
    for number, (data, accepted) in enumerate(pairs):
        assert accepted.recv(10) == b"%d" % number
        assert data.recv(10) == b"%d" % (9 - number)
    for peer in peers:
        peer.close()


@clause(
    "RFC 6062 §5.3",
    "what a peer sends before the bind is kept for the client",
    "native/udp/src/join.rs",
)
def test_what_a_peer_sends_before_the_bind_arrives_after_it(connect: Connect) -> None:
    control, early = connect(stream=True), os.urandom(300_000)
    relayed = relayed_tcp(control)
    control.permit(Address.of("127.0.0.1", 0))
    with dial(relayed) as peer:
        _, identity = attempt(control)
        peer.sendall(early)
        peer.shutdown(socket.SHUT_WR)
        data = data_connection(connect, identity)
        assert receive_exactly(data, len(early)) == early
        assert data.recv(1) == b""
        data.sendall(b"late answer")
        assert receive_exactly(peer, 11) == b"late answer"


@clause("RFC 6062 §5.4", "what follows ConnectionBind is data", "native/udp/src/join.rs")
def test_what_a_client_sends_behind_its_bind_is_data(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with ListeningPeer() as peer:
        identity = connection_id(connect_to(control, peer.address))
        accepted, _ = peer.accept()
        client = connect(stream=True)
        client.challenge()
        bind = client.signed(Method.CONNECTION_BIND, ((Attribute.CONNECTION_ID, identity),))
        answer = client.ask(bind + b"GET / HTTP/1.1")
        assert answer.code == 0
        assert receive_exactly(accepted, 14) == b"GET / HTTP/1.1"


@clause(
    "RFC 6062 §5.4",
    "after a ConnectionBind that was refused the connection speaks STUN",
    "native/udp/src/join.rs",
)
def test_messages_behind_a_bind_that_is_refused_are_still_messages(connect: Connect) -> None:
    client = connect(stream=True)
    client.challenge()
    bind = client.signed(Method.CONNECTION_BIND, ((Attribute.CONNECTION_ID, b"none"),))
    client.send(bind + bytes.fromhex("000100002112a442") + b"transaction1")
    assert client.receive()[:2] == b"\x01\x1b"
    assert client.receive()[:2] == b"\x01\x01"
    assert client.allocate().code == 0


@pytest.mark.parametrize("first", ["client", "peer"])
def test_the_end_of_one_direction_leaves_the_other_open(connect: Connect, first: str) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with ListeningPeer() as peer:
        data, accepted = dialled(connect, control, peer)
        one, other = (data, accepted) if first == "client" else (accepted, data)
        one.sendall(b"that was all")
        one.shutdown(socket.SHUT_WR)
        assert receive_exactly(other, 12) == b"that was all"
        assert other.recv(1) == b""
        other.sendall(b"understood")
        assert receive_exactly(one, 10) == b"understood"
        other.close()
        assert one.recv(1) == b""
        # Nothing of the pair is left: the peer may be connected to anew.
        again = connect_to(control, peer.address)
        while again.code == 446:
            again = connect_to(control, peer.address)
        assert again.code in (0, 447)


@clause("RFC 6062 §5.5", "a connection that breaks breaks the other", "native/udp/src/join.rs")
def test_a_broken_connection_breaks_the_other(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with ListeningPeer() as peer:
        data, accepted = dialled(connect, control, peer)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        assert is_closed(data)


@pytest.mark.parametrize("end", ["refresh to zero", "disconnect"])
def test_data_connections_end_with_their_allocation(connect: Connect, end: str) -> None:
    control = connect(stream=True)
    relayed = relayed_tcp(control)
    control.permit(Address.of("127.0.0.1", 0))
    with ListeningPeer() as peer, dial(relayed) as pending:
        attempt(control)
        data, accepted = dialled(connect, control, peer)
        if end == "disconnect":
            control.socket.close()
        else:
            assert control.refresh(0).code == 0
        assert is_closed(data)
        assert is_closed(accepted)
        assert is_closed(pending)
    with pytest.raises(ConnectionRefusedError):
        dial(relayed)


def test_the_usage_counts_the_bytes_of_both_directions(
    connect: Connect, server: RunningServer
) -> None:
    control = connect(stream=True)
    relayed = relayed_tcp(control)
    with ListeningPeer() as peer:
        data, accepted = dialled(connect, control, peer)
        data.sendall(bytes(1234))
        receive_exactly(accepted, 1234)
        accepted.sendall(bytes(567))
        receive_exactly(data, 567)
        assert control.refresh(0).code == 0
        lines = logged(server, f"allocation closed client={control.local}")
        assert f"relayed={relayed}" in lines[0]
        assert " sent_bytes=1234 " in lines[0]
        assert " received_bytes=567 " in lines[0]


def test_a_peer_without_permission_is_closed_at_once_and_not_told(connect: Connect) -> None:
    control = connect(stream=True)
    relayed = relayed_tcp(control)
    with dial(relayed) as peer:
        assert is_closed(peer)
    assert control.is_silent(0.2)


def test_nobody_listens_is_447(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with ListeningPeer() as gone:
        nobody = gone.address
    assert connect_to(control, nobody).code == 447
    assert connect_to(control, nobody).code == 447


def test_a_second_connection_to_the_same_peer_is_446(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with ListeningPeer() as peer:
        first = connect_to(control, peer.address)
        assert connect_to(control, peer.address).code == 446
        accepted, _ = peer.accept()
        data_connection(connect, connection_id(first))
        assert connect_to(control, peer.address).code == 446
        accepted.close()


def test_a_connection_id_is_good_once_and_for_its_owner_only(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with ListeningPeer() as peer:
        identity = connection_id(connect_to(control, peer.address))
        accepted, _ = peer.accept()
        strangers = bind_connection(connect("bob", "hunter2", stream=True), identity)
        made_up = bind_connection(connect(stream=True), bytes(4))
        assert strangers.code == made_up.code == 400
        data = data_connection(connect, identity)
        assert bind_connection(connect(stream=True), identity).code == 400
        data.sendall(b"still mine")
        assert receive_exactly(accepted, 10) == b"still mine"


def test_a_tcp_allocation_relays_no_datagrams(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    with Peer() as peer:
        assert control.permit(peer.address).code == 0
        assert control.bind(0x4000, peer.address).code == 437
        control.send_to(peer.address, b"datagram")
        control.send_on(0x4000, b"datagram")
        assert peer.is_silent(0.2)


def test_a_udp_allocation_connects_to_nobody(connect: Connect) -> None:
    control = connect(stream=True)
    control.relayed()
    with ListeningPeer() as peer:
        assert connect_to(control, peer.address).code == 437


def test_over_udp_there_is_no_tcp_allocation_and_no_bind(connect: Connect) -> None:
    assert allocate_tcp(connect()).code == 400
    assert bind_connection(connect(), bytes(4)).code == 400


def test_two_clients_connect_through_their_relayed_addresses(connect_public: Connect) -> None:
    alice, bob = connect_public(stream=True), connect_public("bob", "hunter2", stream=True)
    first, second = relayed_tcp(alice), relayed_tcp(bob)
    assert bob.permit(first).code == 0
    answer = connect_to(alice, second)
    peer, identity = attempt(bob)
    assert peer == first
    at_alice = data_connection(connect_public, connection_id(answer))
    at_bob = data_connection(connect_public, identity, "bob", "hunter2")
    at_alice.sendall(b"hello bob")
    assert receive_exactly(at_bob, 9) == b"hello bob"
    at_bob.sendall(b"hello alice")
    assert receive_exactly(at_alice, 11) == b"hello alice"


def test_nothing_else_on_the_server_can_be_connected_to(connect_public: Connect) -> None:
    alice, bob = connect_public(stream=True), connect_public("bob", "hunter2")
    own = relayed_tcp(alice)
    udp = bob.relayed()
    with ListeningPeer() as service:
        for peer in (service.address, own, udp, Address.of("10.0.0.1", 80)):
            assert connect_to(alice, peer).code == 403


def test_a_permission_for_a_relayed_address_lets_no_other_program_in(
    connect_public: Connect,
) -> None:
    alice, bob = connect_public(stream=True), connect_public("bob", "hunter2", stream=True)
    first, second = relayed_tcp(alice), relayed_tcp(bob)
    assert alice.permit(second).code == 0
    with dial(first) as local_program:
        assert is_closed(local_program)
    assert alice.is_silent(0.2)


@pytest.fixture
def restricted(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Connect]:
    folder = tmp_path_factory.mktemp("restricted")
    opened: list[TurnClient] = []
    with start_server([*ACCOUNTS, request.param], folder) as running:
        yield connector(running, opened)
        for client in opened:
            client.socket.close()


@pytest.mark.parametrize(
    ("restricted", "tcp", "udp"),
    [("no-tcp-relay", 442, 0), ("no-udp-relay", 0, 403)],
    indirect=["restricted"],
)
def test_either_transport_to_peers_can_be_forbidden(
    restricted: Connect, tcp: int, udp: int
) -> None:
    assert allocate_tcp(restricted(stream=True)).code == tcp
    assert restricted(stream=True).allocate().code == udp
