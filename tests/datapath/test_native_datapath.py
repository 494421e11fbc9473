"""The native datapath as Python sees it: the shapes that cross, and that it needs no Python."""

from __future__ import annotations

import ctypes
import errno
import json
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ferryman.datapath._native import Datapath
from ferryman.datapath.door import Command, RawFiveTuple

LOCALHOST = socket.inet_aton("127.0.0.1")
WILDCARD = bytes(4)
NEVER = 2**64 - 1
PATIENCE = 10.0
CHANNEL = 0x4000
COOKIE = bytes.fromhex("2112a442")
BINDING = b"\x00\x01\x00\x00" + COOKIE + b"transaction1"
ALLOCATE = b"\x00\x03\x00\x00" + COOKIE + b"transaction2"
CALLER = Path(__file__).with_name("caller.py")


@pytest.fixture
def datapath() -> Iterator[Datapath]:
    datapath = Datapath(fingerprint=False)
    yield datapath
    datapath.stop()


def test_binding_is_answered_and_an_allocate_request_is_asked(datapath: Datapath) -> None:
    port = datapath.listen_udp(WILDCARD, 0)
    datapath.start()
    with _socket() as client:
        client.sendto(BINDING, ("127.0.0.1", port))
        assert client.recv(100)[:2] == b"\x01\x01"
        client.sendto(ALLOCATE, ("127.0.0.2", port))
        number, five_tuple, message = _event(datapath)
        assert (number, message) == (0, ALLOCATE)
        own = client.getsockname()[1]
        expected = (17, LOCALHOST, own, socket.inet_aton("127.0.0.2"), port)
        assert five_tuple[:5] == expected
        datapath.apply([(0, five_tuple, b"a reply")])
        assert client.recvfrom(100) == (b"a reply", ("127.0.0.2", port))


def test_discovery_is_offered_until_it_is_withdrawn(datapath: Datapath) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    other = socket.inet_aton("127.0.0.2")
    other_address = b"\x80\x2c\x00\x08\x00\x01"
    datapath.offer_discovery(((LOCALHOST, other), (LOCALHOST, other), (port, port ^ 1)))
    with _socket() as client:
        for offered, withdrawn in ((True, 2), (True, 1), (False, 1)):
            client.sendto(BINDING, ("127.0.0.1", port))
            assert (other_address in client.recv(100)) is offered
            datapath.withdraw_discovery(withdrawn)
    with pytest.raises(ValueError, match="a family is 1"):
        datapath.withdraw_discovery(4)


def test_every_command_crosses_and_a_close_tells_the_usage(datapath: Datapath) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    with _socket() as client, _socket() as peer:
        client.connect(("127.0.0.1", port))
        client.send(ALLOCATE)
        _, five_tuple, _ = _event(datapath)
        relayed = _bind_relay(datapath)
        datapath.apply(
            [*_opened(7, five_tuple, relayed, peer), (2, 7, NEVER), (0, five_tuple, b"success")]
        )
        assert client.recv(100) == b"success"
        client.send(b"\x40\x00\x00\x05hello")
        assert peer.recvfrom(100) == (b"hello", ("127.0.0.1", relayed))
        peer.sendto(b"back", ("127.0.0.1", relayed))
        assert client.recv(100) == b"\x40\x00\x00\x04back"
        datapath.apply([(3, 7)])
        assert _event(datapath) == (1, 7, 1, 5, 1, 4, 0)


def test_a_tcp_connection_that_asked_is_reported_when_it_ends(datapath: Datapath) -> None:
    port = datapath.listen_tcp(LOCALHOST, 0)
    datapath.start()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(ALLOCATE)
        number, five_tuple, message = _event(datapath)
        assert (number, five_tuple[0], message) == (0, 6, ALLOCATE)
    assert _event(datapath) == (2, five_tuple)


def test_the_operator_is_told_of_an_allocation_without_a_socket(datapath: Datapath) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    five_tuple = (17, LOCALHOST, 9, LOCALHOST, port, 1)
    datapath.apply([(1, 7, five_tuple, LOCALHOST, 9, LOCALHOST, 9, NEVER, 0)])
    number, text = _event(datapath)
    assert number == 3
    assert "127.0.0.1:9" in text


def test_the_descriptor_is_readable_until_everything_is_drained(datapath: Datapath) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    with _socket() as client:
        for _ in range(5):
            client.sendto(ALLOCATE, ("127.0.0.1", port))
        client.sendto(BINDING, ("127.0.0.1", port))
        client.recv(100)
    assert _is_readable(datapath)
    assert len(datapath.drain(limit=3)) == 3
    assert _is_readable(datapath)
    assert len(datapath.drain()) == 2
    assert not _is_readable(datapath)
    assert datapath.drain() == []


def test_what_cannot_be_bound_is_an_os_error(datapath: Datapath) -> None:
    relayed = _bind_relay(datapath)
    for bind in (datapath.bind_relay, datapath.listen_udp):
        with pytest.raises(OSError, match="in use") as raised:
            bind(LOCALHOST, relayed)
        assert raised.value.errno == errno.EADDRINUSE, "callers tell errors apart by it"
    datapath.release_relay(LOCALHOST, relayed)
    assert datapath.listen_udp(LOCALHOST, relayed) == relayed
    with pytest.raises(OSError, match="assign"):
        datapath.listen_tcp(socket.inet_aton("192.0.2.1"), 0)


@pytest.mark.parametrize(
    "command",
    [
        (),
        (6, 7),
        (0, (1, LOCALHOST, 9, LOCALHOST, 9, 1), b"no such transport"),
        (0, (17, b"123", 9, LOCALHOST, 9, 1), b"no such address"),
        (2, -1, NEVER),
        (5, 7, 0x4000, LOCALHOST, 65536, False, NEVER),
        (3, "7"),
    ],
)
def test_a_command_of_another_shape_is_refused_and_none_beside_it_obeyed(
    datapath: Datapath, command: Command
) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    with _socket() as client:
        client.sendto(ALLOCATE, ("127.0.0.1", port))
        _, five_tuple, _ = _event(datapath)
        with pytest.raises((ValueError, TypeError, OverflowError, IndexError)):
            datapath.apply([(0, five_tuple, b"not this"), command])
        datapath.apply([(0, five_tuple, b"but this")])
        assert client.recv(100) == b"but this"


def test_counters_name_what_happened(datapath: Datapath) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    with _socket() as client:
        client.sendto(b"\xff", ("127.0.0.1", port))
        client.sendto(BINDING, ("127.0.0.1", port))
        client.recv(100)
    counters = datapath.counters()
    assert counters["client_packets"] == 2
    assert counters["dropped_not_turn"] == 1
    assert counters["answered"] == 1


def test_stop_closes_every_socket_and_may_be_called_twice() -> None:
    datapath = Datapath(fingerprint=False)
    ports = {
        socket.SOCK_DGRAM: datapath.listen_udp(LOCALHOST, 0),
        socket.SOCK_STREAM: datapath.listen_tcp(LOCALHOST, 0),
    }
    datapath.start()
    datapath.stop()
    datapath.stop()
    for kind, port in ports.items():
        with socket.socket(socket.AF_INET, kind) as another:
            another.bind(("127.0.0.1", port))


def test_a_python_stalled_for_two_seconds_stops_no_call(datapath: Datapath) -> None:
    port = datapath.listen_udp(LOCALHOST, 0)
    datapath.start()
    with (
        _socket() as peer,
        subprocess.Popen(
            [sys.executable, str(CALLER), str(port), str(peer.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[peer.fileno()],
            text=True,
        ) as caller,
    ):
        assert caller.stdout is not None
        _, five_tuple, _ = _event(datapath)
        relayed = _bind_relay(datapath)
        datapath.apply([*_opened(7, five_tuple, relayed, peer), (0, five_tuple, b"success")])
        assert caller.stdout.readline() == "calling\n"
        assert _longest_pause_of_python_while_stalled() > 1.9
        result, _ = caller.communicate("stop\n", timeout=PATIENCE)
    call = json.loads(result)
    assert call["longest_pause"] < 1.0
    assert call["packets"] > 1000


def _longest_pause_of_python_while_stalled() -> float:
    """Holds the interpreter for two seconds; how long another thread got nothing of it."""
    ticks = [time.monotonic()]
    stalled = threading.Event()

    def tick() -> None:
        while not stalled.wait(0.01):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    # A call through PyDLL keeps the lock that a call through CDLL would release.
    ctypes.PyDLL(None).usleep(2_000_000)
    ticks.append(time.monotonic())
    stalled.set()
    thread.join()
    return max(later - earlier for earlier, later in pairwise(ticks))


def _socket() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))
    opened.settimeout(PATIENCE)
    return opened


def _bind_relay(datapath: Datapath) -> int:
    """Binds a relay socket to a port that nobody had a moment ago."""
    for _ in range(100):
        with _socket() as free:
            port: int = free.getsockname()[1]
        try:
            datapath.bind_relay(LOCALHOST, port)
        except OSError:
            continue
        return port
    raise AssertionError("no free port")


def _opened(
    allocation: int, five_tuple: RawFiveTuple, relayed: int, peer: socket.socket
) -> list[Command]:
    """An allocation with a permission and a channel for the peer."""
    peer_port = peer.getsockname()[1]
    return [
        (1, allocation, five_tuple, LOCALHOST, relayed, LOCALHOST, relayed, NEVER, 0),
        (4, allocation, LOCALHOST, False, NEVER),
        (5, allocation, CHANNEL, LOCALHOST, peer_port, False, NEVER),
    ]


def _is_readable(datapath: Datapath, patience: float = 0.0) -> bool:
    return bool(select.select([datapath], [], [], patience)[0])


def _event(datapath: Datapath) -> tuple[Any, ...]:
    assert _is_readable(datapath, PATIENCE), "no event came"
    [event] = datapath.drain(limit=1)
    return event
