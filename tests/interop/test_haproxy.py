"""Clients reach the server through HAProxy, which says who they are (PROXY protocol)."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.certificates import Pair, make_pair
from tests.servers import free_port, program, start_server
from tests.turn_client import Peer, TurnClient

pytestmark = pytest.mark.interop

LINES = ["realm=example.org", "user=alice:sesame", "allow-loopback-peers"]
SOURCE = "127.0.0.77"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))


@contextmanager
def haproxy(folder: Path, bind: str, server: str) -> Iterator[None]:
    """HAProxy with these lines `bind` and `server`, until it takes connections."""
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        f"listen turn\n bind {bind}\n server ferryman {server}\n"
    )
    command = [program("haproxy"), "-db", "-f", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            _wait_for(bind.split()[0], process)
            yield
        finally:
            process.terminate()


def _wait_for(place: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = place.partition(":")
    for _ in range(200):
        assert process.poll() is None, process.stdout and process.stdout.read()
        with suppress(OSError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.05)
    pytest.fail("HAProxy takes no connections")


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def relays(front: int, tls: ssl.SSLContext | None = None) -> str:
    """A client that relays both ways through the front end; returns its address."""
    client = TurnClient(front, "alice", "sesame", stream=True, source=SOURCE, tls=tls)
    with client, Peer() as peer:
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        client.send_on(0x4000, b"there")
        assert peer.receive() == (b"there", relayed)
        peer.send(relayed, b"back")
        assert client.receive_channel() == (0x4000, b"back")
        return str(client.local)


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_clients_over_tcp_have_their_own_address(tmp_path: Path, version: str) -> None:
    behind, front = free_port(), free_port()
    with (
        start_server([*LINES, f"tcp-proxy-port={behind}"], tmp_path) as server,
        haproxy(tmp_path, f"127.0.0.1:{front}", f"127.0.0.1:{behind} {version} check"),
    ):
        client = relays(front)
    assert f"allocation opened client={client} transport=tcp" in server.log


def test_haproxy_passes_tls_on(tmp_path: Path, pair: Pair) -> None:
    behind, front = free_port(), free_port()
    lines = [*LINES, *pair.lines, "tls-listening-port=0", f"tcp-proxy-port={behind}"]
    with (
        start_server(lines, tmp_path) as server,
        haproxy(tmp_path, f"127.0.0.1:{front}", f"127.0.0.1:{behind} send-proxy-v2"),
    ):
        client = relays(front, trusting())
    assert f"allocation opened client={client} transport=tls" in server.log


def test_haproxy_ends_tls(tmp_path: Path, pair: Pair) -> None:
    behind, front = free_port(), free_port()
    both = tmp_path / "both.pem"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    bind = f"127.0.0.1:{front} ssl crt {both}"
    # What is known of the client's TLS follows its address.
    server_line = f"127.0.0.1:{behind} send-proxy-v2-ssl-cn proxy-v2-options authority,unique-id"
    with (
        start_server([*LINES, f"tcp-proxy-port={behind}"], tmp_path) as server,
        haproxy(tmp_path, bind, server_line),
    ):
        client = relays(front, trusting())
    assert f"allocation opened client={client} transport=tcp" in server.log


def test_a_haproxy_that_does_not_say_it_is_told_of(tmp_path: Path) -> None:
    behind, front = free_port(), free_port()
    with (
        start_server([*LINES, f"tcp-proxy-port={behind}"], tmp_path) as server,
        haproxy(tmp_path, f"127.0.0.1:{front}", f"127.0.0.1:{behind}"),
        pytest.raises(ConnectionError),
    ):
        relays(front)
    assert "a connection to tcp-proxy-port does not begin with a PROXY header" in server.log
