"""The running server over DTLS 1.3 (RFC 9147): where it is spoken, and what strangers get.

The clients are NSS's own program; relaying is in `native/udp/tests/dtls13.rs`, and a client that
others wrote in `native/dtls/tests/dtls/foreign.rs`.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from tests import dtls13_client
from tests.certificates import Pair, make_pair
from tests.conformance.clause import clause
from tests.dtls13_client import EITHER, exchange, handshake, with_nss
from tests.running.conftest import ACCOUNTS, logged
from tests.running.test_dtls import is_spoken, resident_kib, until
from tests.servers import RunningServer, answers, start_server

HELLOS = 20_000
HELLO_RETRY_REQUEST = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)
"""The random of a ServerHello that is one (RFC 8446 §4.1.3)."""
PLAIN = ["tls-listening-port=0"]


@pytest.fixture(scope="module", autouse=True)
def _nss() -> None:
    dtls13_client.bring_nss()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"), "RSA-2048")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("dtls13")
    with start_server([*ACCOUNTS, *pair.lines, *PLAIN], folder, command=with_nss()) as running:
        yield running


def version(said: str) -> str:
    """The version that was agreed on; NSS calls DTLS by TLS's numbers."""
    numbers = {"SSL version 3.4": "1.3", "SSL version 3.3": "1.2"}
    (found,) = {name for text, name in numbers.items() if text in said} or {"none"}
    return found


def fingerprint(pair: Pair) -> str:
    return pair.issued.fingerprint(hashes.SHA256()).hex(":").upper()


def client_hello(random: bytes, cookie: bytes = b"") -> bytes:
    """The least that a client of DTLS 1.3 alone begins with (RFC 9147 §5.3), or goes on with."""
    share = b"\x00\x1d\x00\x20" + os.urandom(32)
    extensions = b"".join(
        kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body
        for kind, body in [
            (43, b"\x02\xfe\xfc"),
            (10, b"\x00\x02\x00\x1d"),
            (13, b"\x00\x04\x04\x03\x08\x04"),
            (51, len(share).to_bytes(2, "big") + share),
            *([(44, len(cookie).to_bytes(2, "big") + cookie)] if cookie else []),
        ]
    )
    body = b"\xfe\xfd" + random + b"\x00\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += len(extensions).to_bytes(2, "big") + extensions
    size = len(body).to_bytes(3, "big")
    message = b"\x01" + size + b"\x00\x00" + bytes(3) + size + body
    return b"\x16\xfe\xfd" + bytes(8) + len(message).to_bytes(2, "big") + message


@clause("RFC 9147 §5.3", "DTLS 1.3 is spoken with whoever offers it", "native/dtls/src/gate.rs")
@pytest.mark.parametrize("kind", ["RSA-2048", "P-256", "P-384"])
def test_a_certificate_of_each_kind_serves(tmp_path: Path, kind: str) -> None:
    pair = make_pair(tmp_path, kind, authority=True)
    lines = [*ACCOUNTS, *pair.lines, *PLAIN]
    with start_server(lines, tmp_path, command=with_nss()) as server:
        assert version(handshake(server.port)) == "1.3"
        assert version(handshake(server.port, EITHER)) == "1.3"
        assert is_spoken(server.port), "DTLS 1.2 beside it"
        assert not logged(server, "DTLS 1.2 alone")


def test_without_nss_a_client_that_offers_both_gets_12_and_a_line_says_so(
    tmp_path: Path, pair: Pair
) -> None:
    (tmp_path / "libssl3.so").write_bytes(b"")  # where the loader looks first, and no library
    lines = [*ACCOUNTS, *pair.lines, *PLAIN]
    with start_server(lines, tmp_path, command=with_nss(tmp_path)) as server:
        (line,) = logged(server, "DTLS 1.2 alone is spoken")
        assert "apt-get install libnss3" in line
        assert version(handshake(server.port, EITHER)) == "1.2"
        assert not handshake(server.port)


@pytest.mark.parametrize("line", ["no-tlsv1_2", "cipher-list=TLS_AES_256_GCM_SHA384"])
def test_it_can_be_spoken_alone(tmp_path: Path, pair: Pair, line: str) -> None:
    lines = [*ACCOUNTS, *pair.lines, *PLAIN, line]
    with start_server(lines, tmp_path, command=with_nss()) as server:
        assert version(handshake(server.port)) == "1.3"
        assert not is_spoken(server.port)


def test_it_goes_with_dtls(tmp_path: Path, pair: Pair) -> None:
    lines = [*ACCOUNTS, *pair.lines, *PLAIN, "no-dtls"]
    with start_server(lines, tmp_path, command=with_nss()) as server:
        assert not handshake(server.port)


def test_a_binding_request_is_answered(server: RunningServer) -> None:
    request = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + os.urandom(12)
    answer = exchange(server.port, request, 32)
    assert answer[:2] == b"\x01\x01"
    assert answer[4:20] == request[4:20]


def test_a_new_certificate_is_shown_after_sigusr2(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    lines = [*ACCOUNTS, *pair.lines, *PLAIN]
    with start_server(lines, tmp_path, command=with_nss()) as server:
        assert fingerprint(pair) in handshake(server.port)
        renewed = make_pair(tmp_path)
        server.process.send_signal(signal.SIGUSR2)
        until(lambda: fingerprint(renewed) in handshake(server.port))


@clause(
    "RFC 9147 §5.1",
    "Nothing is kept before a cookie has come back",
    "native/dtls/src/nss/association.rs",
)
def test_strangers_leave_nothing_behind_and_get_at_most_twice_what_they_sent(
    server: RunningServer,
) -> None:
    assert handshake(server.port)
    before, answered = resident_kib(server), 0
    for _ in range(200):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.settimeout(0.2)
            stranger.connect(("127.0.0.1", server.port))
            hello = client_hello(os.urandom(32))
            for _ in range(HELLOS // 200):
                stranger.send(hello)
            try:
                while True:
                    answer = stranger.recv(2048)
                    assert len(answer) <= 2 * len(hello)
                    assert answer[27:59] == HELLO_RETRY_REQUEST
                    answered += 1
            except TimeoutError:
                continue
    assert answered > 1000
    assert resident_kib(server) < before + 4096
    assert handshake(server.port)
    assert answers(server.port)


@clause(
    "RFC 9147 §5.1",
    "A cookie that is not good is answered with illegal_parameter",
    "native/dtls/src/gate.rs",
)
def test_a_cookie_that_is_not_good_is_an_illegal_parameter(server: RunningServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.settimeout(2)
        stranger.connect(("127.0.0.1", server.port))
        stranger.send(client_hello(os.urandom(32), os.urandom(130)))
        assert stranger.recv(2048) == b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x2f"
