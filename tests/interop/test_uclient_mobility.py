"""coturn's `turnutils_uclient -M` moves its allocations (RFC 8016) without losing a packet.

It goes on without moving, and loses nothing either, when it cannot keep the ticket: so the server's
log has to show that its clients moved. Over TLS and DTLS its own moving fails, against coturn too;
`tests/running/test_mobility.py` moves to and from TLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningServer, dict[str, RunningClient]]]:
    """Every run at the same time, by name."""
    folder = tmp_path_factory.mktemp("uclient-mobility")
    lines = [*ANYONE, *TIME_LIMITED, *STATIC, "mobility"]
    with start_server(lines, folder) as server, echoing_peer() as peer_port:
        started = {
            run.name: start_uclient(run.arguments(server.port, peer_port), _output(folder, run))
            for run in RUNS
        }
        yield server, started
        for client in started.values():
            client.kill()


def _output(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.txt"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_message_comes_back(
    running: tuple[RunningServer, dict[str, RunningClient]], run: Run
) -> None:
    report = running[1][run.name].report()
    messages = run.flows * MESSAGES
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * run.octets)


def test_the_clients_did_move(running: tuple[RunningServer, dict[str, RunningClient]]) -> None:
    server, clients = running
    for client in clients.values():
        client.report()
    moved = [line for line in server.log.splitlines() if "client moved" in line]
    for transport in ("udp", "tcp"):
        assert any(f"transport={transport} " in line for line in moved), (transport, moved)
