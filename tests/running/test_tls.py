"""The running server over TLS: relaying, versions, ALPN, its own certificate, and a new one."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ferryman.wire.registry import Attribute
from tests.certificates import Pair, make_pair, new_key, pem
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import (
    REPOSITORY,
    RunningServer,
    free_port,
    start_server,
    start_with_embedded_defaults,
)
from tests.turn_client import Peer, TurnClient

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
versions = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])

ConnectTls = Callable[..., TurnClient]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"), authority=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[RunningServer]:
    lines = [*ACCOUNTS, *pair.lines, "allow-loopback-peers", "tls-listening-port=0"]
    with start_server(lines, tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.fixture
def connect(server: RunningServer, pair: Pair) -> Iterator[ConnectTls]:
    with ExitStack() as opened:

        def connect(version: ssl.TLSVersion = VERSIONS[-1], host: str = "127.0.0.1") -> TurnClient:
            tls = trusting(pair, version)
            return opened.enter_context(
                TurnClient(server.port, "alice", "sesame", host=host, tls=tls)
            )

        yield connect


def trusting(pair: Pair, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Takes this certificate and no other."""
    context = ssl.create_default_context(cafile=pair.certificate)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def shown(port: int) -> bytes:
    """The certificate that a new connection sees, in DER."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=3) as plain,
        context.wrap_socket(plain) as stream,
    ):
        seen = stream.getpeercert(binary_form=True)
    assert seen is not None
    return seen


def der(pair: Pair) -> bytes:
    return pair.issued.public_bytes(serialization.Encoding.DER)


@versions
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [0, 1, 3, 160, 1200, 9000])
def test_channel_data_goes_both_ways(
    connect: ConnectTls, version: ssl.TLSVersion, host: str, size: int
) -> None:
    client, payload = connect(version, host), bytes(range(256)) * 40
    with Peer() as peer:
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        client.send_on(0x4000, payload[:size])
        assert peer.receive() == (payload[:size], relayed)
        peer.send(relayed, payload[:size])
        assert client.receive_channel() == (0x4000, payload[:size])


@versions
def test_send_and_data_go_both_ways(connect: ConnectTls, version: ssl.TLSVersion) -> None:
    client = connect(version)
    with Peer() as peer:
        relayed = client.relayed()
        assert client.permit(peer.address).code == 0
        client.send_to(peer.address, b"hello")
        assert peer.receive() == (b"hello", relayed)
        peer.send(relayed, b"back")
        assert client.receive_data() == (peer.address, b"back")


@versions
def test_a_burst_of_a_megabyte_arrives_whole_and_in_order(
    connect: ConnectTls, version: ssl.TLSVersion
) -> None:
    client = connect(version)
    with Peer() as peer:
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        for start in range(0, 1000, 100):
            packets = [n.to_bytes(2, "big") * 500 for n in range(start, start + 100)]
            client.send(b"".join(b"\x40\x00\x03\xe8" + packet for packet in packets))
            assert [peer.receive() for _ in packets] == [(packet, relayed) for packet in packets]
            for packet in packets:
                peer.send(relayed, packet)
            assert [client.receive_channel()[1] for _ in packets] == packets


def test_the_client_is_told_its_address_and_the_log_its_transport(
    connect: ConnectTls, server: RunningServer
) -> None:
    client = connect()
    answer = client.allocate()
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == client.local
    (line,) = logged(server, f"allocation opened client={client.local}")
    assert "transport=tls" in line


def test_the_end_of_the_connection_is_the_end_of_the_allocation(
    connect: ConnectTls, server: RunningServer
) -> None:
    client = connect()
    client.relayed()
    local = client.local
    client.socket.close()
    (line,) = logged(server, f"allocation closed client={local}")
    assert 'why="client disconnected"' in line


def test_plain_tcp_is_spoken_on_the_same_port(server: RunningServer) -> None:
    with TurnClient(server.port, "alice", "sesame", stream=True) as client, Peer() as peer:
        relayed = client.relayed()
        assert client.permit(peer.address).code == 0
        client.send_to(peer.address, b"hello")
        assert peer.receive() == (b"hello", relayed)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["stun.turn"], "stun.turn"),
        (["stun.nat-discovery"], "stun.nat-discovery"),
        (["http/1.1", "stun.turn"], "stun.turn"),
    ],
)
def test_alpn_chooses_what_is_spoken(
    server: RunningServer, pair: Pair, offered: list[str], chosen: str
) -> None:
    context = trusting(pair)
    context.set_alpn_protocols(offered)
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        context.wrap_socket(plain, server_hostname="turn.test") as stream,
    ):
        assert stream.selected_alpn_protocol() == chosen


def test_a_client_that_offers_other_protocols_alone_is_told_so(
    server: RunningServer, pair: Pair
) -> None:
    context = trusting(pair)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        pytest.raises(ssl.SSLError, match="no application protocol"),
    ):
        context.wrap_socket(plain, server_hostname="turn.test")


def test_the_log_tells_why_a_handshake_failed(server: RunningServer) -> None:
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="turn.test")
    assert logged(server, "a TLS handshake failed: 127.0.0.1:")


@pytest.mark.parametrize("kind", ["RSA-2048", "P-384", "Ed25519"])
def test_certificates_of_other_kinds_are_shown(tmp_path: Path, kind: str) -> None:
    pair = make_pair(tmp_path, kind, authority=True)
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame", tls=trusting(pair)) as client,
    ):
        assert client.allocate().code == 0


def test_a_client_needs_a_certificate_where_a_ca_file_says_so(tmp_path: Path) -> None:
    authority = make_pair(tmp_path, name="authority.test", authority=True)
    issuer = (authority.private, authority.issued)
    own = make_pair(tmp_path, name="client.test", issuer=issuer)
    lines = [*authority.lines, f"CA-file={authority.certificate}", "tls-listening-port=0"]
    with start_server([*ACCOUNTS, *lines], tmp_path) as server:
        tls = trusting(authority)
        tls.load_cert_chain(own.certificate, own.key)
        with TurnClient(server.port, "alice", "sesame", tls=tls) as client:
            assert client.allocate().code == 0
        refused = TurnClient(server.port, "alice", "sesame", tls=trusting(authority))
        with refused, pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            refused.allocate()


def test_tls_alone_is_spoken_where_tcp_is_switched_off(tmp_path: Path, pair: Pair) -> None:
    port = free_port() + 1
    lines = [*ACCOUNTS, *pair.lines, "no-tcp", f"tls-listening-port={port}"]
    with start_server(lines, tmp_path) as server:
        with TurnClient(port, "alice", "sesame", tls=trusting(pair)) as client:
            assert client.allocate().code == 0
        with (
            TurnClient(port, "alice", "sesame", stream=True) as client,
            pytest.raises(ConnectionError),
        ):
            client.allocate()
        with pytest.raises(ConnectionRefusedError):
            TurnClient(server.port, "alice", "sesame", stream=True)


def test_no_tls_closes_a_hello(tmp_path: Path, pair: Pair) -> None:
    with (
        start_server([*ACCOUNTS, *pair.lines, "no-tls"], tmp_path) as server,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        TurnClient(server.port, "alice", "sesame", tls=trusting(pair))


def test_ciphers_and_versions_are_narrowed(tmp_path: Path, pair: Pair) -> None:
    ciphers = "cipher-list=ECDHE-ECDSA-AES256-GCM-SHA384:TLS_CHACHA20_POLY1305_SHA256"
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", ciphers]
    with start_server(lines, tmp_path) as server:
        for version, name in zip(
            VERSIONS, ["ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_CHACHA20_POLY1305_SHA256"], strict=True
        ):
            tls = trusting(pair, version)
            with TurnClient(server.port, "alice", "sesame", tls=tls) as client:
                assert isinstance(client.socket, ssl.SSLSocket)
                agreed = client.socket.cipher()
                assert agreed is not None
                assert agreed[0] == name


def test_without_a_file_the_server_signs_for_itself_and_keeps_it(tmp_path: Path) -> None:
    first, greeting = start_with_embedded_defaults(tmp_path)
    with first:
        own = shown(first.port)
        assert own == shown(first.port + 1)
        assert (tmp_path / "state" / "certificate.pem").stat().st_mode & 0o777 == 0o600
        # Browsers would not take it, so that they are not sent there.
        assert "turns:" not in json.dumps(greeting)
    again, _ = start_with_embedded_defaults(tmp_path)
    with again:
        assert shown(again.port) == own
    assert "localhost" in str(
        x509.load_der_x509_certificate(own)
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )


def test_the_greeting_has_a_turns_url_with_the_name_of_the_certificate(
    tmp_path: Path, pair: Pair
) -> None:
    port = free_port() + 1
    lines = [*ACCOUNTS, *pair.lines, f"tls-listening-port={port}"]
    ferryman = [str(Path(sys.executable).with_name("ferryman")), "serve", "--greeting"]
    with start_server(lines, tmp_path, command=ferryman) as server:
        until_ready = logged(server, "ready realm=")
        assert until_ready
        greeting = json.loads(server.output_path.read_text())
    assert f"turns:turn.test:{port}?transport=tcp" in greeting["iceServers"][-1]["urls"]


def renew(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGUSR2)


def test_sigusr2_renews_the_certificate_and_stops_no_call(tmp_path: Path) -> None:
    old = make_pair(tmp_path, authority=True)
    lines = [*ACCOUNTS, *old.lines, "allow-loopback-peers", "tls-listening-port=0"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame", tls=trusting(old)) as client,
        Peer() as peer,
    ):
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        # A key that is not the certificate's: nothing changes, and the log says so.
        good = old.key.read_bytes()
        old.key.write_bytes(pem(new_key()))
        renew(server)
        (line,) = logged(server, "the certificate is not renewed")
        assert "is not the key of the certificate" in line
        assert shown(server.port) == der(old)
        old.key.write_bytes(good)
        new = make_pair(tmp_path)
        renew(server)
        assert len(logged(server, "certificate in use")) >= 1
        while shown(server.port) == der(old):
            pass
        assert shown(server.port) == der(new)
        client.send_on(0x4000, b"still there")
        assert peer.receive() == (b"still there", relayed)
        peer.send(relayed, b"so am I")
        assert client.receive_channel() == (0x4000, b"so am I")
        assert client.refresh(600).code == 0


def test_sigusr2_without_tls_does_no_harm(tmp_path: Path) -> None:
    with start_server([*ACCOUNTS, "no-tls"], tmp_path) as server:
        renew(server)
        assert logged(server, "there is no certificate to renew")


def test_a_certificate_that_is_no_good_stops_the_start_with_one_line(
    tmp_path: Path, pair: Pair
) -> None:
    file = tmp_path / "turnserver.conf"
    file.write_text("user=a:b\nno-tcp\ncert=/nowhere/fullchain.pem\n" + pair.lines[1] + "\n")
    ferryman = str(Path(sys.executable).with_name("ferryman"))
    run = subprocess.run(
        [ferryman, "serve", "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=REPOSITORY,
        check=False,
    )
    assert run.returncode == 1
    assert f"{file}:3: cert: /nowhere/fullchain.pem: no such file\n" in run.stderr


@versions
@pytest.mark.parametrize("cut", [1, 7], ids=["one octet at a time", "seven octets at a time"])
def test_a_tls_client_may_send_in_crumbs(
    server: RunningServer, pair: Pair, version: ssl.TLSVersion, cut: int
) -> None:
    """Handshake, request and ChannelData: the octets of the records trickle, and so does what is
    inside them."""
    with Crumbs(server.port, trusting(pair, version), cut) as client, Peer() as peer:
        client.challenge()
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        message = b"\x40\x00\x00\x06crumbs\0\0"
        for start in range(0, len(message), cut):
            client.send(message[start : start + cut])
        assert peer.receive() == (b"crumbs", relayed)
        peer.send(relayed, b"and back")
        assert client.receive_channel() == (0x4000, b"and back")


class Crumbs(TurnClient):
    """A client over TLS whose every octet towards the server is sent with few others."""

    def __init__(self, port: int, tls: ssl.SSLContext, cut: int) -> None:
        super().__init__(port, "alice", "sesame", stream=True)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._cut = cut
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._machine = tls.wrap_bio(self._came, self._goes, server_hostname="127.0.0.1")
        self._until_done(self._machine.do_handshake)

    def _until_done(self, step: Callable[[], object]) -> None:
        while True:
            try:
                step()
                return self._pass_on()
            except ssl.SSLWantReadError:
                self._pass_on()
                self._came.write(self.socket.recv(65_536))

    def _pass_on(self) -> None:
        octets = self._goes.read()
        for start in range(0, len(octets), self._cut):
            self.socket.sendall(octets[start : start + self._cut])
            time.sleep(0.0005)

    def send(self, packet: bytes) -> None:
        self._until_done(lambda: self._machine.write(packet))

    def receive(self) -> bytes:
        while not self._waiting:
            self._until_done(self._take)
        return self._waiting.pop(0)

    def _take(self) -> None:
        self._waiting += self._frames.feed_untrusted(self._machine.read(65_536))
