"""coturn's `turnutils_uclient` relays TCP through the server (RFC 6062) without losing a byte.

Actively (`-T`) one client connects to the other's relayed address. Passively (`-P`) half of the
clients are plain TCP peers that connect to relayed addresses; what those receive the program does
not count, whatever the server, so there the server's own count is read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.interop.accounts import ANYONE, STATIC, account_flags
from tests.interop.uclient import Report, start_uclient
from tests.servers import RunningServer, runs_coturn, start_server

pytestmark = pytest.mark.interop

MESSAGES: Final = 10
OCTETS: Final = 101
_CARRIED: Final = re.compile(r"allocation closed .* sent_bytes=(\d+) .* received_bytes=(\d+) ")


def run(server: RunningServer, flags: list[str], folder: Path) -> Report:
    pace = ["-n", str(MESSAGES), "-z", "5", "-l", str(OCTETS)]
    arguments = ["-v", "-p", str(server.port), *account_flags("static"), *pace, *flags]
    return start_uclient([*arguments, "127.0.0.1"], folder / "uclient.txt").report()


@pytest.mark.parametrize(
    ("flags", "flows"), [("-t -T", 2), ("-t -T -m 10", 10), ("-t -T -X", 2)], ids=str
)
def test_clients_connect_to_each_other(tmp_path: Path, flags: str, flows: int) -> None:
    with start_server([*ANYONE, *STATIC], tmp_path) as server:
        report = run(server, flags.split(), tmp_path)
    messages = flows * MESSAGES
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * OCTETS)


def test_peers_connect_to_clients(tmp_path: Path) -> None:
    with start_server([*ANYONE, *STATIC], tmp_path) as server:
        report = run(server, ["-t", "-T", "-P"], tmp_path)
        log = server.log
    assert report.messages == (2 * MESSAGES, MESSAGES), report.text
    if not runs_coturn():
        carried = [tuple(map(int, found)) for found in _CARRIED.findall(log)]
        assert (MESSAGES * OCTETS, MESSAGES * OCTETS) in carried, log
