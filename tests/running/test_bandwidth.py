"""max-bps and bps-capacity at the running server, by the clock."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS, Connect, connector, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient

RATE = 200_000
PAYLOAD = bytes(1_000)
PACE = 0.005
AT_ONCE = 4
"""Packets of a turn: four times as much as may pass."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    lines = [*ACCOUNTS, "allow-loopback-peers", f"max-bps={RATE}", f"bps-capacity={3 * RATE}"]
    with start_server(lines, tmp_path_factory.mktemp("limited")) as running:
        yield running


@pytest.fixture
def connect_limited(limited: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(limited, opened)
    for client in opened:
        client.refresh(0)
        client.socket.close()


@dataclass
class Measured:
    """Bytes that came out of a socket while it was looked at."""

    socket: socket.socket
    octets: int = 0

    def take(self, header: int) -> None:
        while select.select([self.socket], [], [], 0)[0]:
            self.octets += len(self.socket.recv(65_536)) - header


def rates(client: TurnClient, peer: Peer, seconds: float) -> tuple[float, float]:
    """Bytes per second that arrive at the peer and at the client while both send too much."""
    relayed = client.relayed()
    assert client.bind(0x4000, peer.address).code == 0
    at_peer, at_client = Measured(peer.socket), Measured(client.socket)
    started = time.monotonic()
    begun = None
    while begun is None or time.monotonic() < begun + seconds:
        for _ in range(AT_ONCE):
            client.send_on(0x4000, PAYLOAD)
            peer.send(relayed, PAYLOAD)
        at_peer.take(0)
        at_client.take(4)
        if begun is None and time.monotonic() > started + 1.0:
            # The first second's worth has passed at once: count from here.
            at_peer.octets = at_client.octets = 0
            begun = time.monotonic()
        select.select([], [], [], PACE)
    elapsed = time.monotonic() - begun
    return at_peer.octets / elapsed, at_client.octets / elapsed


@clause("RFC 8656 §21.3.1", "an allocation has so much bandwidth", "native/flow/src/bandwidth.rs")
def test_an_allocation_carries_max_bps_in_each_direction(connect_limited: Connect) -> None:
    with Peer() as peer:
        sent, received = rates(connect_limited(), peer, 3.0)
    assert sent == pytest.approx(RATE, rel=0.1)
    assert received == pytest.approx(RATE, rel=0.1)


def test_what_is_over_the_limit_is_counted_with_the_allocation(
    limited: RunningServer, connect_limited: Connect
) -> None:
    client = connect_limited()
    with Peer() as peer:
        client.relayed()
        assert client.permit(peer.address).code == 0
        for _ in range(4):
            client.send_to(peer.address, bytes(50_000))
            assert len(peer.receive()[0]) == 50_000
        for _ in range(3):
            client.send_to(peer.address, bytes(50_000))
        assert peer.is_silent(0.1)
    assert client.refresh(0).code == 0
    [line] = logged(limited, "sent_packets=4 ")
    assert "dropped_packets=3" in line


def test_bps_capacity_is_used_up_by_three_clients_and_comes_back(
    limited: RunningServer, connect_limited: Connect
) -> None:
    clients = [connect_limited() for _ in range(4)]
    assert [client.allocate().code for client in clients] == [0, 0, 0, 486]
    assert logged(limited, f"bps-capacity={3 * RATE}")
    assert clients[0].refresh(0).code == 0
    assert clients[3].allocate().code == 0
