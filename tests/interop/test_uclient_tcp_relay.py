"""coturn's `turnutils_uclient` relays TCP through the server (RFC 6062) without losing a byte.

Actively (`-T`) one client connects to the other's relayed address. Passively (`-P`) half of the
clients are plain TCP peers that connect to relayed addresses; what those receive the program does
not count, whatever the server, so that half is read in the server's log. Passively over TLS it
never gets as far as relaying, with coturn neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest

from tests.certificates import make_pair
from tests.interop.accounts import ANYONE, STATIC
from tests.interop.test_uclient import MESSAGES, V6, Clients, Run
from tests.interop.uclient import start_uclient
from tests.servers import RunningServer, free_port, has_ipv6, runs_coturn, start_server

pytestmark = pytest.mark.interop

ACTIVE: Final = [
    Run("over TCP", "-t -T", 2, account="static"),
    Run("over TLS", "-t -T -S", 2, account="static"),
    Run("ten clients over TCP", "-t -T -m 10", 10, account="static"),
    Run("ten clients over TLS", "-t -T -S -m 10", 10, account="static"),
    Run("large messages over TCP", "-t -T", 2, octets=9001, account="static"),
    Run("IPv6 relay over TCP", "-t -T -x", 2, server=V6, account="static"),
]
PASSIVE: Final = [
    Run("passive over TCP", "-t -T -P", 2, octets=102, account="static"),
]
_CARRIED: Final = re.compile(r"allocation closed .* sent_bytes=(\d+) .* received_bytes=(\d+) ")


class Started(NamedTuple):
    server: RunningServer
    clients: Clients


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Every run at the same time, by name."""
    folder = tmp_path_factory.mktemp("uclient-tcp-relay")
    lines = [*ANYONE, *STATIC, *make_pair(folder).lines, f"tls-listening-port={free_port()}"]
    with start_server(lines, folder) as server:
        clients = {
            run.name: start_uclient(run.arguments(server.port, 0), folder / f"{run.name}.txt")
            for run in [*ACTIVE, *PASSIVE]
            if has_ipv6() or not run.needs_ipv6
        }
        yield Started(server, clients)
        for client in clients.values():
            client.kill()


@pytest.mark.parametrize("run", ACTIVE, ids=lambda run: run.name)
def test_clients_connect_to_each_other(started: Started, run: Run) -> None:
    if run.name not in started.clients:
        pytest.skip("this machine has no IPv6")
    report = started.clients[run.name].report()
    messages = run.flows * MESSAGES
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * run.octets)


@pytest.mark.parametrize("run", PASSIVE, ids=lambda run: run.name)
def test_peers_connect_to_clients(started: Started, run: Run) -> None:
    report = started.clients[run.name].report()
    assert report.messages == (2 * MESSAGES, MESSAGES), report.text
    if not runs_coturn():
        both_ways = (MESSAGES * run.octets, MESSAGES * run.octets)
        assert both_ways in _carried(started.server), started.server.log


def _carried(server: RunningServer) -> list[tuple[int, int]]:
    """Bytes to and from the peers of each allocation that is closed."""
    return [(int(sent), int(received)) for sent, received in _CARRIED.findall(server.log)]
