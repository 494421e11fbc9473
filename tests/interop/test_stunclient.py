"""coturn's `turnutils_stunclient` learns its mapped address (RFC 8489 §12)."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from tests.interop.conftest import PortFor
from tests.servers import loopback_addresses, program

pytestmark = pytest.mark.interop

REFLEXIVE: Final = re.compile(r"UDP reflexive addr: (\S+):(\d+)")


@contextlib.contextmanager
def nat(address: str, server_port: int) -> Iterator[tuple[int, int]]:
    """A NAT for one client: the port that the client talks to, and the one that the server sees.

    The client does not tell its own port; this one is known.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as inside,
        socket.socket(family, socket.SOCK_DGRAM) as outside,
    ):
        for side in (inside, outside):
            side.settimeout(5)
            side.bind((address, 0))
        outside.connect((address, server_port))
        forwarding = threading.Thread(target=_forward_one_exchange, args=(inside, outside))
        forwarding.start()
        try:
            yield inside.getsockname()[1], outside.getsockname()[1]
        finally:
            forwarding.join()


def _forward_one_exchange(inside: socket.socket, outside: socket.socket) -> None:
    with contextlib.suppress(TimeoutError):
        request, client = inside.recvfrom(2048)
        outside.send(request)
        inside.sendto(outside.recv(2048), client)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_mapped_address_is_where_the_request_came_from(address: str, port_for: PortFor) -> None:
    if address not in loopback_addresses():
        pytest.skip("this machine has no IPv6")
    with nat(address, port_for("timestamp:user")) as (near, seen):
        command = [program("turnutils_stunclient"), "-p", str(near), address]
        printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    found = REFLEXIVE.findall(printed.stdout)
    assert set(found) == {(address, str(seen))}, printed
