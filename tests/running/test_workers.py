"""The running server with two worker threads. The kernel chooses among them by the clients' ports,
so that of a dozen clients some are with each; nobody notices.
"""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute
from tests.certificates import make_pair
from tests.dtls_client import over_dtls
from tests.running.conftest import ACCOUNTS, Connect, connector
from tests.running.test_mobility import allocated, end, resume
from tests.servers import RunningServer, start_server
from tests.tcp_relay import (
    ListeningPeer,
    connect_to,
    connection_id,
    data_connection,
    receive_exactly,
    relayed_tcp,
)
from tests.turn_client import Peer, TurnClient

CHANNEL = 0x4000
TRANSPORTS = ("udp", "tcp", "tls", "dtls")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("workers")
    lines = [*ACCOUNTS, *make_pair(folder).lines, "tls-listening-port=0", "mobility"]
    with start_server([*lines, "allow-loopback-peers", "relay-threads=2"], folder) as running:
        yield running


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(server, opened)
    for client in opened:
        end(client)


def over(connect: Connect, transport: str) -> TurnClient:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context if transport == "tls" else None
    client = connect(stream=transport == "tcp", tls=tls)
    return over_dtls(client) if transport == "dtls" else client


def crowd(connect: Connect) -> list[TurnClient]:
    """Three clients over each transport."""
    return [over(connect, transport) for transport in 3 * TRANSPORTS]


def test_there_are_as_many_threads_as_were_asked_for(server: RunningServer) -> None:
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/comm")
    names = sorted(name for task in tasks if (name := task.read_text().strip()) != "ferryman")
    assert [name for name in names if name.startswith("ferryman-")] == ["ferryman-0", "ferryman-1"]


def test_every_client_of_many_reaches_its_peer(connect: Connect) -> None:
    with Peer() as peer:
        relayed = {}
        for number, client in enumerate(crowd(connect)):
            relayed[client] = client.relayed()
            assert client.bind(CHANNEL, peer.address).code == 0
            client.send_on(CHANNEL, b"from %d" % number)
            assert peer.receive() == (b"from %d" % number, relayed[client])
        for address in relayed.values():
            peer.send(address, str(address).encode())
        for client, address in relayed.items():
            assert client.receive_channel() == (CHANNEL, str(address).encode())
            assert client.refresh(0).code == 0


def test_every_client_reaches_every_other_from_relay_to_relay(connect: Connect) -> None:
    clients = crowd(connect)
    relayed: list[Address] = [client.relayed() for client in clients]
    for client in clients:
        for number, address in enumerate(relayed):
            assert client.bind(CHANNEL + number, address).code == 0
    for one, other in itertools.permutations(range(len(clients)), 2):
        clients[one].send_on(CHANNEL + other, b"%d to %d" % (one, other))
        assert clients[other].receive_channel() == (CHANNEL + one, b"%d to %d" % (one, other))


def test_a_client_moves_again_and_again_and_is_always_found(connect: Connect) -> None:
    with Peer() as peer:
        first, *others = crowd(connect)
        relayed, ticket = allocated(first)
        assert first.bind(CHANNEL, peer.address).code == 0
        for number, client in enumerate(others):
            answer = resume(client, ticket)
            assert answer.code == 0
            ticket = answer.message.first(Attribute.MOBILITY_TICKET) or ticket
            for step in range(5):
                client.send_on(CHANNEL, b"%d %d" % (number, step))
                assert peer.receive() == (b"%d %d" % (number, step), relayed)
                peer.send(relayed, b"echo %d" % step)
                assert client.receive_channel() == (CHANNEL, b"echo %d" % step)


def test_data_connections_find_their_peers(connect: Connect) -> None:
    control = connect(stream=True)
    relayed_tcp(control)
    for number in range(12):
        with ListeningPeer() as peer:
            identity = connection_id(connect_to(control, peer.address))
            accepted, _ = peer.accept()
            data = data_connection(connect, identity)
            data.sendall(b"to peer %02d" % number)
            assert receive_exactly(accepted, 10) == b"to peer %02d" % number
            accepted.sendall(b"to you  %02d" % number)
            assert receive_exactly(data, 10) == b"to you  %02d" % number
            accepted.close()
            assert data.recv(1) == b""
