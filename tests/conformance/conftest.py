"""The server under test, clients of it and peers; the options that name another server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.certificates import make_pair
from tests.conformance.subject import Subject, parse
from tests.servers import loopback_addresses, start_server
from tests.turn_client import Peer, TurnClient

Connect = Callable[..., TurnClient]

CONFIGURATION = [
    "realm=ferry.example",
    "user=alice:sesame",
    "user=bob:hunter2",
    "static-auth-secret=north",
    "allow-loopback-peers",
]
SERVED = {
    "gate": ["relay-threads=2"],
    "engine": ["relay-threads=1", "verbose"],
}
"""Every clause is tried twice: with two workers, where the gate challenges strangers; and with one,
where the engine does, as it does when the log is verbose."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject" in metafunc.fixturenames:
        named = metafunc.config.getoption("server")
        ways = ["named"] if named else list(SERVED)
        metafunc.parametrize("subject", ways, indirect=True, scope="session")


@pytest.fixture(scope="session")
def subject(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Subject]:
    server = pytestconfig.getoption("server")
    if server:
        yield parse(
            server,
            secret=pytestconfig.getoption("secret"),
            users=pytestconfig.getoption("user"),
            tls_port=pytestconfig.getoption("tls_port"),
        )
        return
    folder = tmp_path_factory.mktemp("conformance")
    certificate = make_pair(folder).lines
    addresses = ["127.0.0.1", "127.0.0.2", *loopback_addresses()[1:]]
    lines = [*CONFIGURATION, *certificate, "tls-listening-port=0", "rfc5780", "mobility"]
    lines += SERVED[request.param]
    with start_server(lines, folder, addresses=addresses) as running:
        yield Subject(
            "127.0.0.1",
            running.port,
            tls_port=running.port,  # every port for TCP speaks TLS as well
            users=(("alice", "sesame"), ("bob", "hunter2")),
            secret="north",
        )


@pytest.fixture
def connect(subject: Subject) -> Iterator[Connect]:
    """Clients of the server: `connect(stream=True)` over TCP, `account=` for other credentials."""
    opened: list[TurnClient] = []

    def connect(
        *,
        stream: bool = False,
        account: tuple[str, str] | None = None,
        host: str | None = None,
    ) -> TurnClient:
        username, password = account or subject.account()
        client = TurnClient(
            subject.port, username, password, stream=stream, host=host or subject.host
        )
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.abandon()


@pytest.fixture
def client(connect: Connect) -> TurnClient:
    """A UDP client that has asked nothing yet."""
    return connect()


@pytest.fixture
def peer(subject: Subject) -> Iterator[Peer]:
    with Peer(subject.peer_host) as peer:
        yield peer
