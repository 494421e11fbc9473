"""coturn's own tools as authorization server and client (RFC 7635): what `turnutils_oauth` seals
opens here, and `turnutils_uclient -J` relays without losing a packet.

The client seals a token of its own for each Allocate and Refresh, with one of three keys that it
knows by heart; which of them, it chooses at random.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from ferryman.auth.access_token import Algorithm, TokenKey, decode_access_token_untrusted
from tests.interop.accounts import ANYONE
from tests.interop.peers import echoing_peer
from tests.interop.uclient import start_uclient
from tests.servers import RunningServer, program, runs_coturn, start_server

pytestmark = pytest.mark.interop

MESSAGES: Final = 10
OCTETS: Final = 101
NORTH: Final = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK"
KEYS: Final = [
    f"oauth-key=north:{NORTH}:A256GCM",
    "oauth-key=union:MTIzNDU2Nzg5MDEyMzQ1Ngo=:A128GCM",
    "oauth-key=oldempire:MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIK:A256GCM",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    if runs_coturn():
        pytest.skip("coturn takes its keys from a database only")
    lines = [*ANYONE, "oauth", "server-name=turn.example.org", *KEYS]
    with start_server(lines, tmp_path_factory.mktemp("oauth")) as running:
        yield running


@pytest.mark.parametrize("flags", ["", "-t -s", "-c -G"])
def test_uclient_relays_with_tokens(server: RunningServer, flags: str, tmp_path: Path) -> None:
    with echoing_peer() as peer_port:
        where = ["-e", "127.0.0.1", "-r", str(peer_port)]
        pace = ["-n", str(MESSAGES), "-z", "5", "-l", str(OCTETS)]
        arguments = ["-v", "-J", "-p", str(server.port), *where, *pace, *flags.split(), "127.0.0.1"]
        report = start_uclient(arguments, tmp_path / "uclient").report()
    messages = MESSAGES * (1 if "-c" in flags else 2)
    report.shows_that_nothing_was_lost(messages=messages, octets=messages * OCTETS)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_turnutils_oauth_seals_is_opened(algorithm: Algorithm) -> None:
    mac_key = b"a session key of 32 bytes: it is"
    command = [
        program("turnutils_oauth"), "-e",
        "-i", "turn.example.org",
        "-j", "north",
        "-k", NORTH,
        "-l", str(int(time.time())),
        "-m", "86400",
        "-n", algorithm.name,
        "-p", base64.b64encode(mac_key).decode(),
        "-r", "1800",
    ]  # fmt: skip
    printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    granted = json.loads(printed.stdout)
    key = TokenKey.of(granted["kid"], base64.b64decode(NORTH), algorithm, 0, 0)
    token = decode_access_token_untrusted(
        base64.b64decode(granted["access_token"]), key, "turn.example.org"
    )
    assert mac_key.startswith(token.mac_key)
    assert token.lifetime == 1800
    assert abs(token.timestamp - time.time()) < 60
