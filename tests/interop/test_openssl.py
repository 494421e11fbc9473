"""OpenSSL's own client agrees with the server on versions, ciphers and ALPN (RFC 7443)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.certificates import Pair, make_pair
from tests.interop.accounts import STATIC
from tests.servers import RunningServer, program, start_server

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"), authority=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[RunningServer]:
    lines = ["realm=example.org", *STATIC, *pair.lines, "tls-listening-port=0"]
    with start_server(lines, tmp_path_factory.mktemp("server")) as running:
        yield running


def s_client(server: RunningServer, pair: Pair, *flags: str) -> str:
    """What `openssl s_client` prints of a connection that it closes at once."""
    where = ["-connect", f"127.0.0.1:{server.port}", "-verify_return_error"]
    trust = ["-CAfile", str(pair.certificate), "-verify_hostname", "turn.test"]
    run = subprocess.run(
        [program("openssl"), "s_client", *where, *trust, *flags],
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    )
    return (run.stdout + run.stderr).decode(errors="replace")


@pytest.mark.parametrize(("flag", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
@pytest.mark.parametrize("protocol", ["stun.turn", "stun.nat-discovery"])
def test_it_agrees_on_version_and_protocol(
    server: RunningServer, pair: Pair, flag: str, version: str, protocol: str
) -> None:
    said = s_client(server, pair, flag, "-alpn", protocol)
    assert f"ALPN protocol: {protocol}\n" in said, said
    assert f"New, {version}, Cipher is " in said, said
    assert "Verification: OK" in said, said


def test_it_may_offer_no_protocol_and_any_name(server: RunningServer, pair: Pair) -> None:
    said = s_client(server, pair, "-servername", "whoever.example")
    assert "No ALPN negotiated" in said, said
    assert "Verification: OK" in said, said


def test_another_protocol_is_refused(server: RunningServer, pair: Pair) -> None:
    said = s_client(server, pair, "-alpn", "h2,http/1.1")
    assert "alert no application protocol" in said, said


def test_older_versions_are_refused(server: RunningServer, pair: Pair) -> None:
    said = s_client(server, pair, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "sslv3 alert handshake failure" in said, said
    assert "Cipher is (NONE)" in said, said


def test_nothing_is_given_to_resume(server: RunningServer, pair: Pair) -> None:
    for flag in ("-tls1_2", "-tls1_3"):
        assert "session ticket" not in s_client(server, pair, flag)
