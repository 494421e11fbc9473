"""Runs `turnutils_peer`, the peer that sends every datagram back."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.servers import free_port, loopback_addresses, program

STARTS_WITHIN = 10.0


@contextlib.contextmanager
def echoing_peer() -> Iterator[int]:
    """The peer's port on every loopback address; it also echoes on the port after it (RTCP)."""
    port = free_port()
    command = [program("turnutils_peer"), "-p", str(port)]
    for address in loopback_addresses():
        command += ["-L", address]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_echoes(process, port)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_until_it_echoes(process: subprocess.Popen[bytes], port: int) -> None:
    waiting = [(address, port + step) for address in loopback_addresses() for step in (0, 1)]
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        waiting = [at for at in waiting if not _echoes(*at)]
        if not waiting:
            return
        time.sleep(0.05)
    pytest.fail(f"turnutils_peer does not echo on {waiting}")


def _echoes(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError):
        client.settimeout(0.2)
        client.connect((address, port))
        client.send(b"echo?")
        return client.recv(16) == b"echo?"
    return False
