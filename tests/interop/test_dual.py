"""coturn's `turnutils_uclient -Z` asks for two relayed addresses in one allocation.

Debian's 4.6.1 numbers ADDITIONAL-ADDRESS-FAMILY 0x8032, which no server has to understand
(RFC 8656 §18 says 0x8000): it gets one address. Before it sends anything it refreshes one family
or both, as its dice say, and gives up when it is told that it has no IPv6 address (443, RFC 8656
§8.2): then it is run again, until it has sent what it was to send. FERRYMAN_TEST_UCLIENT names a
newer client to run as well; without one, `tests/running/test_dual.py` alone shows dual
allocations, with our own client.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import pytest

from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute
from tests.interop.accounts import account_flags
from tests.interop.conftest import PortFor
from tests.interop.peers import echoing_peer
from tests.interop.uclient import Report, start_uclient

pytestmark = pytest.mark.interop

MESSAGES: Final = 10
OCTETS: Final = 101
OF_DEBIAN: Final = 0x8032
MISMATCH: Final = "error 443 (Peer Address Family Mismatch)"
THROWS: Final = 15
"""It gives up in fewer than half of its runs: in all of so many, once in 30,000."""
V4, V6 = "127.0.0.1", "::1"

NEWER: Final = os.environ.get("FERRYMAN_TEST_UCLIENT", "")
CLIENTS: Final = [
    pytest.param("turnutils_uclient", id="turnutils_uclient"),
    pytest.param(
        NEWER,
        id="newer",
        marks=pytest.mark.skipif(not NEWER, reason="FERRYMAN_TEST_UCLIENT names no newer client"),
    ),
]


def number_said_by(client: str, folder: Path) -> int:
    """The attribute that its first Allocate asks for the second family with."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((V4, 0))
        server.settimeout(10)
        arguments = ["-Z", "-p", str(server.getsockname()[1]), "-e", V4, "-u", "a", "-w", "b", V4]
        running = start_uclient(arguments, folder / "asked.txt", client=client)
        try:
            request = decode_untrusted(server.recv(4096))
        finally:
            running.kill()
    numbers = (Attribute.ADDITIONAL_ADDRESS_FAMILY, OF_DEBIAN)
    (said,) = (number for number in numbers if request.first(number) is not None)
    return int(said)


def report(client: str, port: int, peer: str, flags: list[str], folder: Path) -> Report:
    with echoing_peer() as peer_port:
        where = ["-e", peer, "-r", str(peer_port)]
        pace = ["-n", str(MESSAGES), "-z", "5", "-l", str(OCTETS)]
        who = account_flags("timestamp:user")
        arguments = ["-v", "-Z", "-p", str(port), *who, *where, *pace, *flags, V4]
        return start_uclient(arguments, folder / "report.txt", client=client).report()


@pytest.mark.parametrize("flags", [[], ["-t"], ["-s"]], ids=["channels", "tcp", "send"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_asks_for_both_families_gets_what_it_can_say(
    port_for: PortFor, tmp_path: Path, client: str, flags: list[str]
) -> None:
    is_dual = number_said_by(client, tmp_path) == Attribute.ADDITIONAL_ADDRESS_FAMILY
    peer, families = (V6, {V4, V6}) if is_dual else (V4, {V4})
    for _ in range(1 if is_dual else THROWS):
        told = report(client, port_for("timestamp:user"), peer, flags, tmp_path)
        assert set(told.relayed) == families, told.text
        if told.messages is not None:
            break
        assert MISMATCH in told.text, told.text
    told.shows_that_nothing_was_lost(messages=MESSAGES, octets=MESSAGES * OCTETS)
