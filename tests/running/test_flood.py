"""Floods of strangers' requests over real sockets: the server stays as small as it was, and those
who have an allocation go on being answered, during the flood and after it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.running.conftest import ACCOUNTS, logged
from tests.running.test_hostile import resident_kib
from tests.servers import RunningServer, start_server
from tests.turn_client import UDP_TRANSPORT, Peer, TurnClient

FLOODER = "127.0.0.9"
MOST_ATTRIBUTES = [(0x7F00 + number % 200, b"") for number in range(1_000)]
SIGNED = [(Attribute.USERNAME, b"n" * 508), (Attribute.REALM, b"r"), (Attribute.NONCE, b"n" * 32)]


def requests(
    method: int, attributes: Sequence[tuple[int, bytes]], key: bytes | None
) -> list[bytes]:
    ids = [os.urandom(12) for _ in range(100)]
    return [encode(MessageClass.REQUEST, method, one, attributes, key=key) for one in ids]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with start_server([*ACCOUNTS, "allow-loopback-peers"], tmp_path) as running:
        yield running


@contextlib.contextmanager
def flood(stranger: TurnClient, packets: list[bytes]) -> Iterator[list[int]]:
    """Sends from one 5-tuple, as fast as it can, until the block ends; yields what it counts in."""
    over = threading.Event()
    sent = [0]

    def send() -> None:
        stranger.socket.setblocking(False)
        while not over.is_set():
            for packet in packets:
                with contextlib.suppress(OSError):
                    stranger.send(packet)
                    sent[0] += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield sent
    finally:
        over.set()
        sender.join()


def refreshes(client: TurnClient) -> bool:
    """Whether a Refresh is answered, sent as often as a client sends it in two seconds."""
    request = client.signed(Method.REFRESH)
    client.socket.settimeout(0.5)
    for _ in range(4):
        with contextlib.suppress(TimeoutError):
            return client.ask(request).code == 0
    return False


def test_a_crowd_fills_no_verbose_log(tmp_path: Path) -> None:
    """As guides have it, where coturn logs each. Whoever comes afterwards is told of again."""
    lines = [*ACCOUNTS, "verbose", "unauthorized-ratelimit=no"]
    with start_server(lines, tmp_path) as server:
        began = time.monotonic()
        with (
            TurnClient(server.port, "", "", source=FLOODER) as stranger,
            flood(stranger, allocates(stranger)) as sent,
        ):
            assert logged(server, "strangers come in crowds", 5)
            time.sleep(0.5)
        told = [line for line in server.log.splitlines() if " challenged " in line]
        assert sent[0] > 2_000
        assert len(told) <= 50 * (time.monotonic() - began + 1)
        assert logged(server, "challenges not logged one by one")
        assert logged(server, "challenges are logged again", 15)
        with TurnClient(server.port, "alice", "sesame") as client:
            client.relayed()
            local = client.local
        assert logged(server, f"challenged client={local}")


def bindings(_: TurnClient) -> list[bytes]:
    return requests(Method.BINDING, (), None)


def allocates(_: TurnClient) -> list[bytes]:
    return requests(Method.ALLOCATE, (UDP_TRANSPORT,), None)


def costly_to_read(_: TurnClient) -> list[bytes]:
    return requests(Method.ALLOCATE, MOST_ATTRIBUTES, None)


def with_made_up_nonces(_: TurnClient) -> list[bytes]:
    return requests(Method.ALLOCATE, SIGNED, b"a made-up key")


def with_a_wrong_password(stranger: TurnClient) -> list[bytes]:
    """What gets furthest: the nonce is one that was given to this very address."""
    stranger.challenge()
    return [stranger.signed(Method.ALLOCATE, MOST_ATTRIBUTES[:800]) for _ in range(100)]


@pytest.mark.parametrize(
    "asked", [bindings, allocates, costly_to_read, with_made_up_nonces, with_a_wrong_password]
)
def test_a_flood_costs_no_memory_and_nobody_elses_answers(
    server: RunningServer, asked: Callable[[TurnClient], list[bytes]]
) -> None:
    with (
        TurnClient(server.port, "alice", "sesame") as alice,
        TurnClient(server.port, "mallory", "guess", source=FLOODER) as mallory,
        Peer() as peer,
    ):
        relayed = alice.relayed()
        alice.bind(0x4000, peer.address)
        before = resident_kib(server)
        with flood(mallory, asked(mallory)) as sent:
            while sent[0] < 2_000:
                pass
            assert all(refreshes(alice) for _ in range(20))
        assert resident_kib(server) - before < 8_192
        alice.send_on(0x4000, b"still here")
        assert peer.receive() == (b"still here", relayed)
        assert refreshes(alice)
