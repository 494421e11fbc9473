"""Nothing that a client can write into a request writes a line of the log, in any of its forms.

Every attribute that there is, and one that nobody knows, with line breaks and a forged entry in it,
from strangers, from those who have proved a password, and over the flow table's own paths.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from ferryman.wire.message import encode
from ferryman.wire.registry import UNDERSTOOD, Attribute, MessageClass, Method
from ferryman.wire.values import encode_error, encode_uint32
from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, start_server
from tests.tokens import NORTH, SERVER_NAME, oauth_key_line, seal, seal_block
from tests.turn_client import UDP_TRANSPORT, TurnClient

FORGED = "FORGED client=198.51.100.66:1 code=401"
AS_COTURN = "error 401: Unauthorized, remote 198.51.100.66:1"
NASTY = f"x\r\n{FORGED}\n\x00\x1b[2J\u2028<>\x7f: {AS_COTURN}".encode()
UNKNOWN_REQUIRED, UNKNOWN_OPTIONAL = 0x7F01, 0xFF01
PROOF = (Attribute.MESSAGE_INTEGRITY, Attribute.MESSAGE_INTEGRITY_SHA256, Attribute.FINGERPRINT)
NUMBERS = [int(one) for one in Attribute if one not in PROOF] + [UNKNOWN_REQUIRED, UNKNOWN_OPTIONAL]
METHODS = [method for method in UNDERSTOOD if method is not Method.SEND]
VALUES: dict[int, bytes] = {
    Attribute.ERROR_CODE: encode_error(401, NASTY.decode()),
    Attribute.LIFETIME: encode_uint32(600) + NASTY,
}


@pytest.fixture(scope="module", params=["text", "json", "coturn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    lines = [*ACCOUNTS, "oauth", f"server-name={SERVER_NAME}", oauth_key_line(NORTH), "mobility"]
    lines += ["allow-loopback-peers", "verbose", f"log-format={request.param}"]
    lines.append("unauthorized-ratelimit=no")
    with start_server(lines, tmp_path_factory.mktemp("log")) as running:
        yield running


def check(server: RunningServer) -> None:
    """What was sent may stand in a line of ours, escaped; it never is a line, nor breaks one."""
    settle(server)
    log = server.log_path.read_bytes().decode("ascii")
    for line in log.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not line.startswith("FORGED"), line
        if "session 0" in line:
            assert AS_COTURN not in line, "in coturn's lines nothing stands in quotes"


def settle(server: RunningServer) -> None:
    """What has been answered is in the log when it has grown no more for a moment."""
    size = -1
    while size != server.log_path.stat().st_size:
        size = server.log_path.stat().st_size
        time.sleep(0.1)


def test_from_strangers(server: RunningServer) -> None:
    with TurnClient(server.port, "alice", "sesame") as client:
        for number in NUMBERS:
            assert client.challenge().code == 401  # so that no more than these wait
            value = VALUES.get(number, NASTY)
            for method in METHODS:
                packet = encode(MessageClass.REQUEST, method, os.urandom(12), [(number, value)])
                client.send(packet)
                signed = encode(
                    MessageClass.REQUEST, method, os.urandom(12), [(number, value)], key=b"guess"
                )
                client.send(signed)
        assert client.challenge().code == 401
    check(server)


@pytest.mark.parametrize("allocated", [False, True])
def test_from_a_client_with_a_password(server: RunningServer, allocated: bool) -> None:
    with TurnClient(server.port, "alice", "sesame") as client:
        client.challenge()
        client.learn(client.ask(client.signed(Method.ALLOCATE, (UDP_TRANSPORT,))))
        for number in NUMBERS:
            if allocated and number == NUMBERS[0]:
                client.allocate()
            for method in METHODS:
                client.send(client.signed(method, ((number, VALUES.get(number, NASTY)),)))
            assert client.refresh(600).code in (0, 437)
        client.refresh(0)
    check(server)


@pytest.mark.parametrize("name", [NASTY.decode(), NORTH.kid], ids=["forged kid", "known kid"])
@pytest.mark.parametrize(
    "token",
    [NASTY, seal_block(NORTH.key, NASTY), seal(NORTH, time.time(), 0)],
    ids=["noise", "sealed noise", "out of date"],
)
def test_from_access_tokens(server: RunningServer, name: str, token: bytes) -> None:
    with TurnClient(server.port, name, "guess") as client:
        client.challenge()
        bearing = (UDP_TRANSPORT, (Attribute.ACCESS_TOKEN, token))
        client.learn(client.ask(client.signed(Method.ALLOCATE, bearing)))
        assert client.request(Method.ALLOCATE, bearing).code == 401
    check(server)
