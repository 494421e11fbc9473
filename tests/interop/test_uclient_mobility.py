"""coturn's `turnutils_uclient -M` moves its allocations (RFC 8016) without losing a packet.

It goes on without moving, and loses nothing either, when it cannot keep the ticket: so the server's
log has to show that its clients moved. Over TLS and DTLS its own moving fails, against coturn too;
`tests/running/test_mobility.py` moves to and from TLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from tests.interop.accounts import ANYONE, STATIC, TIME_LIMITED
from tests.interop.peers import echoing_peer
from tests.interop.test_uclient import MESSAGES, V4, Run
from tests.interop.uclient import RunningClient, start_uclient
from tests.servers import RunningServer, start_server

pytestmark = pytest.mark.interop

RUNS: Final = [
    Run("client to client over UDP", "-y -M", 4),
    Run("client to client by Send indications", "-y -s -M", 4),
    Run("client to client over TCP", "-y -t -M", 4),
    Run("peer over UDP", "-M", 2, peer=V4, account="static"),
    Run("peer over TCP", "-t -M", 2, peer=V4, account="static"),
]


Running = dict[str, tuple[RunningServer, RunningClient]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Every run at the same time, by name, each with a server of its own, whose log is its own."""
    with ExitStack() as servers, echoing_peer() as peer_port:
        started = {}
        for run in RUNS:
            folder = tmp_path_factory.mktemp("uclient-mobility")
            lines = [*ANYONE, *TIME_LIMITED, *STATIC, "mobility"]
            server = servers.enter_context(start_server(lines, folder))
            arguments = run.arguments(server.port, peer_port)
            started[run.name] = server, start_uclient(arguments, folder / "client.txt")
        yield started
        for _, client in started.values():
            client.kill()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_message_comes_back_and_every_client_moves(running: Running, run: Run) -> None:
    server, client = running[run.name]
    report = client.report()
    messages = run.flows * MESSAGES
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * run.octets)
    transport = "tcp" if "-t" in run.flags.split() else "udp"
    moved = [line for line in server.log.splitlines() if "client moved" in line]
    assert len({numbered(line) for line in moved}) >= run.flows
    assert all(f"transport={transport} " in line for line in moved)


def numbered(line: str) -> str:
    """Which allocation a line of the log is about."""
    return line.partition("allocation=")[2].partition(" ")[0]
