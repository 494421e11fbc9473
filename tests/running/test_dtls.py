"""The running server over DTLS: where it is spoken, with which certificate, and what strangers get.

The handshakes are those of the `openssl` program; relaying over DTLS is in `tests/interop`.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.certificates import Pair, certificate, make_pair, new_key
from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import RunningServer, answers, free_port, has_ipv6, program, start_server

HELLOS = 20_000
COOKIE_ASKED = 3
"""Handshake type of a HelloVerifyRequest (RFC 6347 §4.3.2)."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"), "RSA-2048")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[RunningServer]:
    lines = [*ACCOUNTS, *pair.lines, "allow-loopback-peers", "tls-listening-port=0"]
    with start_server(lines, tmp_path_factory.mktemp("dtls")) as running:
        yield running


def handshake(port: int, *flags: str, host: str = "127.0.0.1") -> str:
    """What `openssl s_client` says of a handshake; it gives up after a second without an answer."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    command = [program("openssl"), "s_client", "-dtls1_2", "-connect", where, *flags]
    try:
        ran = subprocess.run(command, check=False, input=b"Q\n", capture_output=True, timeout=3)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace")
    return (ran.stdout + ran.stderr).decode(errors="replace")


def is_spoken(port: int) -> bool:
    return "Cipher is ECDHE" in handshake(port)


def shown(port: int) -> bytes:
    """The certificate that a new client sees, in DER."""
    found = re.search(r"-----BEGIN CERT.*?-----END CERTIFICATE-----", handshake(port), re.DOTALL)
    assert found is not None
    seen = x509.load_pem_x509_certificate(found[0].encode())
    return seen.public_bytes(serialization.Encoding.DER)


def der(pair: Pair) -> bytes:
    return pair.issued.public_bytes(serialization.Encoding.DER)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline


def client_hello(random: bytes) -> bytes:
    """A ClientHello as a stranger sends it first: 2 suites, no extensions (RFC 6347 §4.2.1)."""
    body = b"\xfe\xfd" + random + b"\x00\x00" + b"\x00\x04\xc0\x2f\xc0\x2b" + b"\x01\x00"
    body += bytes(2)  # no extensions, of length 0
    size = len(body).to_bytes(3, "big")
    message = b"\x01" + size + b"\x00\x00" + bytes(3) + size + body
    return b"\x16\xfe\xff" + bytes(8) + len(message).to_bytes(2, "big") + message


def resident_kib(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@clause("RFC 7350 §3", "DTLS 1.2 carries STUN", "native/dtls/src/endpoint.rs")
@pytest.mark.parametrize("kind", ["RSA-2048", "P-256", "P-384"])
def test_a_certificate_of_each_kind_serves(tmp_path: Path, kind: str) -> None:
    pair = make_pair(tmp_path, kind, authority=True)
    with start_server([*ACCOUNTS, *pair.lines, "tls-listening-port=0"], tmp_path) as server:
        said = handshake(server.port, "-CAfile", str(pair.certificate))
    assert "Cipher is ECDHE" in said, said
    assert "Protocol  : DTLSv1.2" in said, said
    assert "Verify return code: 0 (ok)" in said, said


def test_there_is_none_with_an_ed25519_key_and_a_line_says_so(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, "Ed25519", authority=True)
    with start_server([*ACCOUNTS, *pair.lines, "tls-listening-port=0"], tmp_path) as server:
        (line,) = logged(server, "DTLS is not spoken")
        assert "no DTLS with an Ed25519" in line
        assert not is_spoken(server.port)


@pytest.mark.parametrize("name", ["stun.turn", "stun.nat-discovery"])
def test_the_protocols_of_rfc_7443_are_agreed_on(server: RunningServer, name: str) -> None:
    assert f"ALPN protocol: {name}" in handshake(server.port, "-alpn", f"h2,{name}")


def test_a_client_that_offers_other_protocols_alone_is_refused(server: RunningServer) -> None:
    assert "no application protocol" in handshake(server.port, "-alpn", "h2")


def test_the_whole_chain_is_shown(tmp_path: Path) -> None:
    root_key = new_key()
    root = certificate(root_key, "root.test", 30, authority=True)
    pair = make_pair(tmp_path, issuer=(root_key, root))
    with pair.certificate.open("ab") as chain:
        chain.write(root.public_bytes(serialization.Encoding.PEM))
    with start_server([*ACCOUNTS, *pair.lines, "tls-listening-port=0"], tmp_path) as server:
        assert handshake(server.port, "-showcerts").count("-----BEGIN CERTIFICATE-----") >= 2


def test_a_client_over_ipv6_is_served(server: RunningServer) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    assert "Cipher is ECDHE" in handshake(server.port, host="::1")


@clause("RFC 7350 §3", "DTLS and UDP may share a port", "native/udp/src/dtls.rs")
def test_dtls_and_plain_udp_share_both_ports(tmp_path: Path, pair: Pair) -> None:
    port = free_port()
    lines = [*ACCOUNTS, *pair.lines, f"tls-listening-port={port}"]
    with start_server(lines, tmp_path) as server:
        for one in (server.port, port):
            assert is_spoken(one)
            assert answers(one)
        assert any("transport=dtls" in line for line in logged(server, "listening"))


@pytest.mark.parametrize("line", ["no-dtls", "dtls=no", "no-tls"])
def test_it_can_be_switched_off(tmp_path: Path, pair: Pair, line: str) -> None:
    port = free_port()
    lines = [*ACCOUNTS, *pair.lines, f"tls-listening-port={port}", line]
    with start_server(lines, tmp_path) as server:
        assert "Cipher is ECDHE" not in handshake(server.port)
        assert not answers(port)


def test_it_can_be_had_without_tls(tmp_path: Path, pair: Pair) -> None:
    port = free_port()
    lines = [*ACCOUNTS, *pair.lines, "no-tls", "dtls", f"tls-listening-port={port}"]
    with start_server(lines, tmp_path) as server:
        assert is_spoken(server.port)
        assert is_spoken(port)
        with (
            pytest.raises(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port), timeout=1),
        ):
            pass


def test_a_client_without_the_certificate_that_is_asked_for_is_refused(
    tmp_path: Path, pair: Pair
) -> None:
    key = new_key()
    root = certificate(key, "clients.test", 30, authority=True)
    authority = tmp_path / "clients.pem"
    authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    client = make_pair(tmp_path, name="someone.test", issuer=(key, root))
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", f"CA-file={authority}"]
    with start_server(lines, tmp_path) as server:
        shows = ["-cert", str(client.certificate), "-key", str(client.key)]
        assert "Verify return code" in handshake(server.port, *shows)
        assert "handshake failure" in handshake(server.port)


def test_a_new_certificate_is_shown_after_sigusr2(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    with start_server([*ACCOUNTS, *pair.lines, "tls-listening-port=0"], tmp_path) as server:
        assert shown(server.port) == der(pair)
        renewed = make_pair(tmp_path)
        server.process.send_signal(signal.SIGUSR2)
        until(lambda: shown(server.port) == der(renewed))
        renewed.certificate.write_text("nothing")
        server.process.send_signal(signal.SIGUSR2)
        assert logged(server, "the certificate is not renewed")
        assert shown(server.port) == der(renewed)


def test_strangers_leave_nothing_behind_and_get_no_more_than_they_sent(
    server: RunningServer,
) -> None:
    assert is_spoken(server.port)
    before, asked = resident_kib(server), 0
    for start in range(0, HELLOS, 100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.settimeout(3)
            stranger.connect(("127.0.0.1", server.port))
            hello = client_hello(start.to_bytes(4, "big") + os.urandom(28))
            for _ in range(100):
                stranger.send(hello)
                answer = stranger.recv(2048)
                assert len(answer) <= len(hello)
                asked += answer[13] == COOKIE_ASKED
    assert asked == HELLOS
    assert resident_kib(server) < before + 4096
    assert is_spoken(server.port)


def test_a_cookie_is_bound_to_the_address_that_it_was_given_to(server: RunningServer) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief,
    ):
        hello = client_hello(os.urandom(32))
        for stranger in (asker, thief):
            stranger.settimeout(3)
            stranger.connect(("127.0.0.1", server.port))
        asker.send(hello)
        cookie = asker.recv(2048)[28:]
        assert len(cookie) == 32
        second = with_cookie(hello, cookie)
        thief.send(second)
        assert thief.recv(2048)[13] == COOKIE_ASKED
        asker.send(second)
        assert asker.recv(2048)[13] != COOKIE_ASKED


def with_cookie(hello: bytes, cookie: bytes) -> bytes:
    """The second ClientHello, which brings the cookie back (RFC 6347 §4.2.1)."""
    body = hello[25:]
    body = body[:35] + bytes([len(cookie)]) + cookie + body[36:]
    size = len(body).to_bytes(3, "big")
    message = b"\x01" + size + b"\x00\x01" + bytes(3) + size + body
    return b"\x16\xfe\xff" + bytes(7) + b"\x01" + len(message).to_bytes(2, "big") + message


def test_records_in_crumbs_and_noise_disturb_nobody(server: RunningServer) -> None:
    hello = client_hello(os.urandom(32))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", server.port))
        for end in range(1, len(hello)):
            stranger.send(hello[:end])
        for first in range(20, 64):
            stranger.send(bytes([first]) + os.urandom(200))
        stranger.settimeout(0.2)
        with pytest.raises(TimeoutError):
            stranger.recv(2048)
    assert is_spoken(server.port)
    assert answers(server.port)
