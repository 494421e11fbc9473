"""coturn's `turnutils_uclient` relays through the server without losing a packet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.interop.accounts import account_flags
from tests.interop.conftest import PortFor
from tests.interop.peers import echoing_peer
from tests.interop.uclient import RunningClient, start_uclient
from tests.servers import has_ipv6

pytestmark = pytest.mark.interop

MESSAGES: Final = 10
V4, V6 = "127.0.0.1", "::1"


@dataclass(frozen=True)
class Run:
    """One call of the client: its own flags, and how many flows it makes of them.

    A client has two flows, RTP and RTCP, unless `-c`. `-y` pairs clients with each other; without
    it they talk to the echoing peer.
    """

    name: str
    flags: str
    flows: int
    octets: int = 101  # not a multiple of 4: ChannelData and DATA need padding, RFC 8656 §12.5
    server: str = V4
    peer: str | None = None
    account: str = "timestamp:user"

    @property
    def relays_to_ipv6(self) -> bool:
        return "-x" in self.flags.split()

    @property
    def needs_ipv6(self) -> bool:
        return self.relays_to_ipv6 or V6 in (self.server, self.peer)

    def arguments(self, port: int, peer_port: int) -> list[str]:
        where = ["-e", self.peer, "-r", str(peer_port)] if self.peer else []
        pace = ["-n", str(MESSAGES), "-z", "5", "-l", str(self.octets)]
        who = account_flags(self.account)
        return ["-v", "-p", str(port), *who, *where, *pace, *self.flags.split(), self.server]


# The server keeps so many reservations of a user (EVEN-PORT): two of them share these runs.
RUNS: Final = [
    Run("client to client over UDP by channels", "-y", 4),
    Run("client to client over UDP by padded channels", "-y -D", 4),
    Run("client to client over UDP by Send indications", "-y -s", 4),
    Run("client to client over UDP with DONT-FRAGMENT", "-y -s -g", 4),
    Run("peer over UDP with DONT-FRAGMENT", "-s -g", 2, peer=V4),
    Run("peer over TCP with DONT-FRAGMENT", "-t -s -g", 2, peer=V4),
    Run("client to client over TCP by channels", "-y -t", 4),
    Run("client to client over TCP by Send indications", "-y -t -s", 4),
    Run("client to client over UDP without RTCP", "-y -c", 2),
    Run("client to client over TCP without RTCP", "-y -t -c", 2),
    Run("client to client over UDP with extra requests", "-y -G", 4),
    Run("client to client over TCP with extra requests", "-y -t -G", 4),
    Run("client to client over TLS by channels", "-y -t -S", 4, account="static"),
    Run("client to client over TLS by Send indications", "-y -t -S -s", 4, account="static"),
    Run("client to client over TLS without RTCP", "-y -t -S -c", 2, account="static"),
    Run("client to client over TLS with extra requests", "-y -t -S -G", 4, account="static"),
    Run("ten clients over TLS", "-y -t -S -m 10", 12, account="static"),
    Run("large messages over TLS", "-y -t -S -c", 2, octets=1201, account="static"),
    Run("peer over TLS by channels", "-t -S", 2, peer=V4, account="static"),
    Run("peer over TLS by Send indications", "-t -S -s", 2, peer=V4, account="static"),
    Run("IPv6 relay for an IPv6 client over TLS", "-y -x -t -S", 4, server=V6, account="static"),
    Run("static user over TLS", "-y -t -S", 4, account="static"),
    Run("ten clients over UDP", "-y -m 10", 12),
    Run("ten clients over TCP", "-y -t -m 10", 12),
    Run("ten clients over UDP by Send indications without RTCP", "-y -s -c -m 10", 10),
    Run("large messages over UDP", "-y -c", 2, octets=1201),
    Run("large messages over TCP", "-y -t -c", 2, octets=1201),
    Run("peer over UDP by channels", "", 2, peer=V4),
    Run("peer over UDP by Send indications", "-s", 2, peer=V4),
    Run("peer over TCP by channels", "-t", 2, peer=V4),
    Run("peer over TCP by Send indications", "-t -s", 2, peer=V4),
    Run("peer over UDP without RTCP", "-c", 1, peer=V4),
    Run("peer over TCP without RTCP", "-t -c", 1, peer=V4),
    Run("IPv6 relay for an IPv4 client over UDP", "-y -x", 4),
    Run("IPv6 relay for an IPv4 client over TCP", "-y -x -t", 4),
    Run("IPv6 relay for an IPv6 client over UDP", "-y -x", 4, server=V6),
    Run("IPv6 relay for an IPv6 client over TCP", "-y -x -t", 4, server=V6),
    Run("IPv6 relay for an IPv6 client by Send indications", "-y -x -s", 4, server=V6),
    Run("IPv4 relay for an IPv6 client over UDP", "-y -X", 4, server=V6),
    Run("IPv6 relay and peer for an IPv4 client over UDP", "-x", 2, peer=V6),
    Run("IPv6 relay and peer for an IPv6 client over TCP", "-x -t", 2, server=V6, peer=V6),
    Run("static user over UDP", "-y", 4, account="static"),
    Run("static user over TCP without RTCP", "-y -t -c", 2, account="static"),
    Run("static user and peer over UDP", "-c", 1, peer=V4, account="static"),
    Run("username of a timestamp alone", "-y -c", 2, account="timestamp"),
    Run("username of user, then timestamp", "-y -c", 2, account="user:timestamp"),
    Run("second of two secrets", "-y -c", 2, account="the next secret"),
]

# `-R` spoils one octet or more in every tenth message. These have no report: they hang when
# their own request was the spoilt one.
NOISE: Final = [Run("noise over UDP", "-y -R -G", 4), Run("noise over TCP", "-y -R -G -t", 4),
         Run("noise over TLS", "-y -R -G -t -S", 4, account="static")]  # fmt: skip


Clients = dict[str, RunningClient]


@pytest.fixture(scope="module")
def running(port_for: PortFor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Every run at the same time, by name: each spends its seconds waiting."""
    folder = tmp_path_factory.mktemp("uclient")
    with echoing_peer() as peer_port:
        started = {
            run.name: _start(run, port_for(run.account), peer_port, folder)
            for run in [*NOISE, *RUNS]
            if has_ipv6() or not run.needs_ipv6
        }
        yield started
        for client in started.values():
            client.kill()


def _start(run: Run, port: int, peer_port: int, folder: Path) -> RunningClient:
    return start_uclient(run.arguments(port, peer_port), folder / f"{run.name}.txt")


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_every_message_comes_back(running: Clients, run: Run) -> None:
    if run.name not in running:
        pytest.skip("this machine has no IPv6")
    report = running[run.name].report()
    messages = run.flows * MESSAGES
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * run.octets)
    assert report.relayed, report.text
    assert all((":" in address) == run.relays_to_ipv6 for address in report.relayed), report.text
