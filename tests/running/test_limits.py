"""Quotas and caps at the running server: what is answered when they are reached."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ferryman.wire.address import Address
from tests.running.conftest import ACCOUNTS, Connect, connector, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import TurnClient

LIMITS = [
    "user-quota=3",
    "source-quota=2",
    "total-quota=4",
    "source-connections=3",
    "total-connections=5",
    "max-permissions=2",
    "max-channels=2",
    "max-allocate-lifetime=700",
]


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[RunningServer]:
    with start_server([*ACCOUNTS, "allow-loopback-peers", *LIMITS], tmp_path) as running:
        yield running


@pytest.fixture
def connect_limited(limited: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(limited, opened)
    for client in opened:
        client.socket.close()


def test_each_quota_answers_486_and_the_log_says_which(
    limited: RunningServer, connect_limited: Connect
) -> None:
    def allocate(user: str, password: str, source: str) -> int:
        return connect_limited(user, password, source=source).allocate().code

    assert allocate("alice", "sesame", "127.0.0.1") == 0
    assert allocate("alice", "sesame", "127.0.0.1") == 0
    assert allocate("bob", "hunter2", "127.0.0.1") == 486
    assert logged(limited, "source-quota=2 for 127.0.0.1")
    assert allocate("alice", "sesame", "127.0.0.2") == 0
    assert allocate("alice", "sesame", "127.0.0.3") == 486
    assert logged(limited, "user-quota=3")
    assert allocate("bob", "hunter2", "127.0.0.3") == 0
    assert allocate("bob", "hunter2", "127.0.0.4") == 486
    assert logged(limited, "total-quota=4")


def test_a_quota_frees_with_the_allocation(connect_limited: Connect) -> None:
    first, second, third = (connect_limited() for _ in range(3))
    assert [first.allocate().code, second.allocate().code, third.allocate().code] == [0, 0, 486]
    assert first.refresh(0).code == 0
    assert third.allocate().code == 0


def test_ipv6_counts_apart_from_ipv4(connect_limited: Connect) -> None:
    codes = [connect_limited(host=host).allocate().code for host in ("127.0.0.1", "::1") * 2]
    assert codes == [0, 0, 0, 486]  # the last one is the user's fourth


def is_refused(client: TurnClient) -> bool:
    """Whether the server closes the connection without a word."""
    try:
        client.receive()
    except ConnectionError:
        return True
    return False


def test_tcp_connections_of_one_address_and_of_all_are_limited(
    limited: RunningServer, connect_limited: Connect
) -> None:
    first = [connect_limited(stream=True) for _ in range(3)]
    assert [client.challenge().code for client in first] == [401, 401, 401]
    assert is_refused(connect_limited(stream=True))
    assert logged(limited, "too many connections from one address (source-connections): 127.0.0.1")
    others = [connect_limited(stream=True, source="127.0.0.2") for _ in range(2)]
    assert [client.challenge().code for client in others] == [401, 401]
    assert is_refused(connect_limited(stream=True, source="127.0.0.3"))
    assert logged(limited, "too many connections (total-connections): 127.0.0.3")
    assert connect_limited(source="127.0.0.1").challenge().code == 401


def test_permissions_and_channels_of_an_allocation_are_508_when_there_are_too_many(
    connect_limited: Connect,
) -> None:
    client = connect_limited()
    client.relayed()
    peers = [Address.of(f"127.0.0.{n}", 9) for n in (10, 11, 12)]
    assert [client.permit(peer).code for peer in peers] == [0, 0, 508]
    assert [client.bind(0x4000 + n, peer).code for n, peer in enumerate(peers)] == [0, 0, 508]
    assert client.refresh(3600).lifetime == 700


def test_ports_that_other_programs_hold_are_passed_over(tmp_path: Path) -> None:
    first = 19_000
    lines = [*ACCOUNTS, f"min-port={first}", f"max-port={first + 31}"]
    with ExitStack() as held:
        for port in range(first, first + 24):
            other = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):  # whoever holds it, it is held
                other.bind(("127.0.0.1", port))
        with start_server(lines, tmp_path) as server:
            clients = [
                held.enter_context(TurnClient(server.port, "alice", "sesame")) for _ in range(6)
            ]
            ports = {client.relayed().port for client in clients}
            assert len(ports) == 6
            assert min(ports) >= first + 24
            assert not logged(server, "cannot be bound", seconds=0.1)
