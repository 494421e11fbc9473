"""Two aiortc peers behind relays only exchange a file over UDP, TCP and TLS to the server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.certificates import Pair, make_pair
from tests.interop.accounts import ANYONE, PASSWORD, STATIC, USER
from tests.interop.aiortc_call import content
from tests.servers import RunningServer, start_server

pytestmark = pytest.mark.interop

CALL: Final = Path(__file__).with_name("aiortc_call.py")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("aiortc-pair"), name="localhost", authority=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[RunningServer]:
    lines = [*ANYONE, *STATIC, *pair.lines, "tls-listening-port=0"]
    with start_server(lines, tmp_path_factory.mktemp("aiortc")) as running:
        yield running


def call(url: str, pair: Pair) -> dict[str, Any]:
    """What the two peers tell; they trust the certificate of the test alone."""
    environment = {**os.environ, "SSL_CERT_FILE": str(pair.certificate)}
    command = [sys.executable, str(CALL), url, USER, PASSWORD]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


@pytest.mark.parametrize(
    ("scheme", "query", "transport"),
    [
        ("turn", "?transport=udp", "udp"),
        ("turn", "?transport=tcp", "tcp"),
        ("turns", "?transport=tcp", "tls"),
    ],
    ids=["udp", "tcp", "tls"],
)
def test_a_file_goes_both_ways(
    server: RunningServer, pair: Pair, scheme: str, query: str, transport: str
) -> None:
    told = call(f"{scheme}:localhost:{server.port}{query}", pair)
    for receiver, sender in (("caller", "callee"), ("callee", "caller")):
        assert told[receiver]["candidates"] == ["relay"]
        assert told[receiver]["sha256"] == hashlib.sha256(content(sender)).hexdigest()
    opened = [line for line in server.log.splitlines() if "allocation opened" in line]
    assert any(f"transport={transport} " in line for line in opened)
