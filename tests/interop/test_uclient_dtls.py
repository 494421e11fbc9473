"""coturn's `turnutils_uclient` relays over DTLS (its `-S` without `-t`) without losing a packet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.certificates import make_pair
from tests.interop.accounts import ANYONE, STATIC, TIME_LIMITED
from tests.interop.peers import echoing_peer
from tests.interop.test_uclient import MESSAGES, V4, V6, Clients, Run
from tests.interop.uclient import start_uclient
from tests.servers import has_ipv6, start_server

pytestmark = pytest.mark.interop

RUNS: Final = [
    Run("client to client by channels", "-y -S", 4),
    Run("client to client by Send indications", "-y -S -s", 4),
    Run("client to client without RTCP", "-y -S -c", 2),
    Run("client to client with extra requests", "-y -S -G", 4),
    Run("ten clients", "-y -S -m 10", 12),
    Run("large messages", "-y -S -c", 2, octets=1201),
    Run("peer by channels", "-S", 2, peer=V4),
    Run("peer by Send indications", "-S -s", 2, peer=V4),
    Run("IPv6 relay for an IPv6 client", "-y -x -S", 4, server=V6),
    Run("static user", "-y -S", 4, account="static"),
]


@pytest.fixture(scope="module", params=["RSA-2048", "P-256"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clients]:
    """Every run at the same time, by name, with a certificate of each kind."""
    folder = tmp_path_factory.mktemp("uclient-dtls")
    pair = make_pair(folder, request.param)
    lines = [*ANYONE, *TIME_LIMITED, *STATIC, *pair.lines, "tls-listening-port=0"]
    with start_server(lines, folder) as server, echoing_peer() as peer_port:
        started = {
            run.name: start_uclient(run.arguments(server.port, peer_port), _output(folder, run))
            for run in RUNS
            if has_ipv6() or not run.needs_ipv6
        }
        yield started
        for client in started.values():
            client.kill()


def _output(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.txt"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_message_comes_back(running: Clients, run: Run) -> None:
    if run.name not in running:
        pytest.skip("this machine has no IPv6")
    report = running[run.name].report()
    messages = run.flows * MESSAGES
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * run.octets)
    assert report.relayed, report.text
