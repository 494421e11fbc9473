"""TLS and DTLS are shaken hands on once: a client cannot make the server do it again and again."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from tests.certificates import make_pair
from tests.conformance.crafting import plain
from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, start_server

BINDING_REQUEST = 0x0001
TIMES = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("renegotiation")
    lines = [*ACCOUNTS, *make_pair(folder).lines, "tls-listening-port=0"]
    with start_server(lines, folder) as running:
        yield running


class Machine:
    """OpenSSL over a socket, driven by hand."""

    def __init__(self, server: RunningServer, method: int, kind: socket.SocketKind) -> None:
        context = SSL.Context(method)
        context.set_verify(SSL.VERIFY_NONE)
        context.set_max_proto_version(SSL.TLS1_2_VERSION if kind is socket.SOCK_STREAM else 0)
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.connect(("127.0.0.1", server.port))
        self.ssl = SSL.Connection(context, None)
        self.ssl.set_connect_state()

    def shake_hands(self, seconds: float) -> bool:
        """Whether a handshake that has begun ends well within so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.ssl.do_handshake()
            except SSL.WantReadError:
                self.exchange()
            except SSL.Error:
                return False
            else:
                self.exchange()
                return True
        return False

    def exchange(self) -> None:
        try:
            while True:
                self.socket.send(self.ssl.bio_read(65_536))
        except SSL.WantReadError:
            pass
        if select.select([self.socket], [], [], 0.05)[0]:
            octets = self.socket.recv(65_536)
            if octets:
                self.ssl.bio_write(octets)

    def is_answered(self) -> bool:
        """Whether the server still speaks with this client."""
        try:
            self.ssl.send(plain(BINDING_REQUEST))
            for _ in range(10):
                self.exchange()
                try:
                    return self.ssl.recv(2048)[:2] == b"\x01\x01"
                except SSL.WantReadError:
                    continue
        except (SSL.Error, OSError):
            return False
        return False


@pytest.mark.parametrize(
    ("method", "kind"),
    [(SSL.TLS_METHOD, socket.SOCK_STREAM), (SSL.DTLS_METHOD, socket.SOCK_DGRAM)],
    ids=["tls", "dtls"],
)
def test_a_second_handshake_on_a_connection_is_refused(
    server: RunningServer, method: int, kind: socket.SocketKind
) -> None:
    for _ in range(TIMES):
        client = Machine(server, method, kind)
        assert client.shake_hands(5)
        assert client.is_answered()
        assert client.ssl.renegotiate()
        assert not client.shake_hands(0.3)
        assert client.ssl.total_renegotiations() == 0 or not client.is_answered()
        client.socket.close()
    fresh = Machine(server, method, kind)
    assert fresh.shake_hands(5)
    assert fresh.is_answered()
    fresh.socket.close()
