"""No UDP packet of a stranger brings an answer of more than four times its size: the whole server.

Binding is answered by the native datapath, everything else by the engine.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass
from tests.conformance.clause import clause
from tests.running.conftest import logged
from tests.servers import loopback_addresses, start_server
from tests.tokens import NORTH, oauth_key_line
from tests.turn_client import UDP_TRANSPORT, TurnClient

METHODS = [*range(0x10), 0x0FF, 0xFFF]
UNKNOWN = [(0x7F00 + number, b"") for number in range(64)]
SHAPES: list[list[tuple[int, bytes]]] = [
    [],
    [UDP_TRANSPORT],
    UNKNOWN[:1],
    UNKNOWN[:2],
    UNKNOWN[:7],
    UNKNOWN,
    [(Attribute.PADDING, b"")],
    [(Attribute.CHANGE_REQUEST, bytes(4))],
    [(Attribute.CHANGE_REQUEST, b"\0\0\0\6")],
    [(Attribute.RESPONSE_PORT, b"\x12\x34\0\0")],
    [(Attribute.RESPONSE_PORT, b"\x12\x34\0\0"), (Attribute.PADDING, b"")],
    [(Attribute.MESSAGE_INTEGRITY, bytes(20))],
    [(Attribute.MESSAGE_INTEGRITY_SHA256, bytes(32))],
    [(Attribute.USERNAME, b""), (Attribute.REALM, b""), (Attribute.NONCE, b"")],
    [(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"), UDP_TRANSPORT],
    [(Attribute.MOBILITY_TICKET, b"")],
    [(Attribute.ACCESS_TOKEN, b"")],
]


def packets() -> Iterator[bytes]:
    """Every method, class and shape, with and without FINGERPRINT, each with an id of its own."""
    number = itertools.count(1)
    for method, shape, kind, fingerprint in itertools.product(
        METHODS, SHAPES, MessageClass, (False, True)
    ):
        identity = next(number).to_bytes(12, "big")
        yield encode(kind, method, identity, shape, fingerprint=fingerprint)


def answers_to(asked: list[bytes], address: str, port: int) -> list[bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as stranger:
        stranger.bind((address, 0))  # not connected: CHANGE-REQUEST brings answers from elsewhere
        stranger.settimeout(0.15)
        for packet in asked:
            stranger.sendto(packet, (address, port))
        found = []
        while True:
            try:
                found.append(stranger.recv(65_536))
            except TimeoutError:
                return found


@clause(
    "RFC 8489 §16.1.2",
    "over UDP no answer to a stranger has more than four times the length of its request",
    "src/ferryman/engine/strangers.py",
)
@pytest.mark.parametrize("realm", ["ferry.example", "r" * 60])
@pytest.mark.parametrize(
    "beside",
    [
        ["user=a:b"],
        ["no-auth"],
        ["user=a:b", "fingerprint"],
        ["user=a:b", "rfc5780", "stun-backward-compatibility", "mobility"],
        ["user=a:b", "oauth", "server-name=turn.ferry.example", oauth_key_line(NORTH)],
        ["user=a:b", "alternate-server=192.0.2.9"],
    ],
    ids=["users", "no-auth", "fingerprint", "rfc5780", "oauth", "alternates"],
)
def test_no_stranger_gets_more_than_four_times_what_it_sent(
    tmp_path: Path, realm: str, beside: list[str]
) -> None:
    asked = {packet[8:20]: packet for packet in packets()}
    discovering = ["127.0.0.1", "127.0.0.2"] if "rfc5780" in beside else None
    with start_server([f"realm={realm}", *beside], tmp_path, addresses=discovering) as server:
        for address in discovering or loopback_addresses():
            every, count = list(asked.values()), 0
            for at in range(0, len(every), 500):
                for answer in answers_to(every[at : at + 500], address, server.port):
                    assert len(answer) <= 4 * len(asked[answer[8:20]]), answer.hex()
                    count += 1
            assert count > 50, "a server that says nothing proves nothing"


@clause(
    "RFC 8489 §16.1.2",
    "a source gets so many such answers a second",
    "native/flow/src/gate/strangers.rs",
)
def test_a_source_that_asks_too_often_is_not_answered_and_the_log_counts(tmp_path: Path) -> None:
    limit = ["realm=r", "user=alice:sesame", "unauthorized-ratelimit-rps=1"]
    with (
        start_server(limit, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as alice,
        TurnClient(server.port, "alice", "sesame", stream=True) as over_tcp,
    ):
        assert alice.allocate().code == 0
        identities = (number.to_bytes(12, "big") for number in range(200))
        flood = [encode(MessageClass.REQUEST, 3, one, [UDP_TRANSPORT]) for one in identities]
        assert 5 <= len(answers_to(flood, "127.0.0.1", server.port)) <= 12
        assert alice.refresh(600).code == 0
        assert over_tcp.allocate().code == 0
        (line,) = logged(server, "strangers got no answer")[:1]
        assert "unauthorized-ratelimit-rps" in line
        assert "count=1" in line
