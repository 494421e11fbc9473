"""Running servers that these tests share: one open to loopback peers, one with the defaults."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from tests.servers import RunningServer, start_server
from tests.turn_client import TurnClient

Connect = Callable[..., TurnClient]

ACCOUNTS = [
    "realm=ferry.example",
    "user=alice:sesame",
    "user=bob:hunter2",
    "static-auth-secret=north",
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Loopback peers are welcome here, so that a test can be a peer."""
    folder = tmp_path_factory.mktemp("open")
    with start_server([*ACCOUNTS, "allow-loopback-peers"], folder) as running:
        yield running


@pytest.fixture(scope="session")
def public_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The policy of the embedded defaults: no private peer, no own address."""
    folder = tmp_path_factory.mktemp("public")
    with start_server([*ACCOUNTS, "peer-policy=public"], folder) as running:
        yield running


def connector(running: RunningServer, opened: list[TurnClient]) -> Connect:
    def connect(
        username: str = "alice",
        password: str = "sesame",
        *,
        stream: bool = False,
        host: str = "127.0.0.1",
        source: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> TurnClient:
        client = TurnClient(
            running.port, username, password, stream=stream, host=host, source=source, tls=tls
        )
        opened.append(client)
        return opened[-1]

    return connect


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(server, opened)
    for client in opened:
        client.abandon()


@pytest.fixture
def connect_public(public_server: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(public_server, opened)
    for client in opened:
        client.abandon()


def logged(running: RunningServer, words: str, seconds: float = 3.0) -> list[str]:
    """The log's lines with these words in them; waits for the first (a line follows its answer)."""
    until = time.monotonic() + seconds
    while True:
        lines = [line for line in running.log.splitlines() if words in line]
        if lines or time.monotonic() > until:
            return lines
        time.sleep(0.02)
