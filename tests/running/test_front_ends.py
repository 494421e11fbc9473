"""Clients behind front ends that speak the PROXY protocol (`tcp-proxy-port`)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from os import urandom
from pathlib import Path

import pytest

from ferryman.wire.address import Address
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, free_port, start_server
from tests.turn_client import TurnClient

CLIENT = Address.of("198.51.100.7", 49152)
TEXT = b"PROXY TCP4 198.51.100.7 127.0.0.1 49152 443\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + struct.pack(
    "!4s4sHH", CLIENT.ip, bytes([127, 0, 0, 1]), CLIENT.port, 443
)
BINDING = encode(MessageClass.REQUEST, Method.BINDING, bytes(12), ())


@contextmanager
def serving(folder: Path, *lines: str) -> Iterator[tuple[RunningServer, int]]:
    """A server, and the port for its front ends."""
    port = free_port()
    with start_server([*ACCOUNTS, f"tcp-proxy-port={port}", *lines], folder) as server:
        yield server, port


def behind(port: int, header: bytes, source: str = "") -> TurnClient:
    client = TurnClient(port, "alice", "sesame", stream=True, source=source)
    client.send(header)
    return client


@pytest.mark.parametrize("header", [TEXT, BINARY])
def test_a_client_is_who_its_front_end_says(tmp_path: Path, header: bytes) -> None:
    with serving(tmp_path) as (server, port), behind(port, header) as client:
        plain = encode(MessageClass.REQUEST, Method.BINDING, urandom(12), ())
        assert client.ask(plain).address(Attribute.XOR_MAPPED_ADDRESS) == CLIENT
        client.relayed()
    assert f"allocation opened client={CLIENT} transport=tcp" in server.log


def test_streams_come_through_front_ends_alone_and_datagrams_as_ever(tmp_path: Path) -> None:
    more = free_port()
    with serving(tmp_path, f"aux-server=127.0.0.1:{more}") as (server, _):
        for port in (server.port, more):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with TurnClient(port, "alice", "sesame") as client:
                client.relayed()


def test_a_stranger_is_not_believed(tmp_path: Path) -> None:
    with serving(tmp_path, "tcp-proxy-from=192.0.2.0/24") as (server, port):
        # Another address of this machine's is a stranger, its own is not.
        with (
            behind(port, TEXT, source="127.0.0.9") as client,
            pytest.raises((ConnectionResetError, BrokenPipeError)),
        ):
            client.ask(BINDING)
        with behind(port, TEXT) as client:
            client.relayed()
    assert "tcp-proxy-from does not allow: 127.0.0.9:" in server.log


def test_a_client_that_says_nothing_of_the_sort_is_closed(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as (server, port),
        behind(port, b"") as client,
        pytest.raises(ConnectionError),
    ):
        client.ask(BINDING)
    assert "does not begin with a PROXY header: 127.0.0.1:" in server.log


def test_a_nonce_is_for_the_client_and_not_for_its_front_end(tmp_path: Path) -> None:
    other = TEXT.replace(b"198.51.100.7", b"198.51.100.8")
    with (
        serving(tmp_path) as (_, port),
        behind(port, TEXT) as one,
        behind(port, other) as two,
    ):
        one.relayed()
        two.realm, two.nonce = one.realm, one.nonce
        assert two.allocate().code == 438
