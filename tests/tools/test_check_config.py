"""`check-config` says what a start would say, then what it would start, and shows no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ferryman.config import Configuration
from ferryman.tools.command_line import ServeFlags, command_line
from tests.certificates import make_pair


def never(configuration: Configuration, flags: ServeFlags) -> int:
    raise AssertionError("check-config must not start anything")


def check(tmp_path: Path, text: str) -> Result:
    path = tmp_path / "turnserver.conf"
    path.write_text(text)
    return CliRunner().invoke(command_line(never), ["check-config", str(path)])


def test_a_good_file_gets_its_notices_and_a_summary(tmp_path: Path) -> None:
    pair = make_pair(tmp_path)
    result = check(
        tmp_path,
        "listening-ip=192.0.2.1\nlistening-ip=2001:db8::1\nno-tcp\nrelay-ip=10.0.0.5\n"
        "external-ip=192.0.2.1/10.0.0.5\nrealm=example.com\nuser=alice:wonderland\n"
        "static-auth-secret=looking-glass\nstatic-auth-secret=looking-glass-2\n"
        "denied-peer-ip=10.0.0.0/8\nmultiplex-peer\n"
        f"cert={pair.certificate}\npkey={pair.key}\ntls-listening-port=443\n",
    )
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.replace(str(tmp_path) + "/", "").splitlines()
    assert lines[0].startswith("warning: turnserver.conf:11: multiplex-peer: not built yet: ")
    assert lines[1].startswith("warning: turnserver.conf:7: user: in force as well: ")
    assert lines[2].startswith("warning: peer-policy: coturn: clients reach ")
    assert lines[3].startswith("info: allowed-peer-ip: not given: ")
    assert lines[4:] == [
        "listeners:     UDP 192.0.2.1:3478, UDP [2001:db8::1]:3478, TLS/DTLS 192.0.2.1:443, "
        "TLS/DTLS [2001:db8::1]:443",
        "TLS:           TLS 1.2 and 1.3, DTLS 1.2 (with NSS 1.3 too), certificate turn.test.crt",
        "relay:         10.0.0.5, ports 49152-65535",
        "external:      192.0.2.1/10.0.0.5",
        "realm:         example.com",
        "who may relay: 1 user, 2 secrets for time-limited credentials",
        "peer policy:   coturn, 0 allowed, 1 denied",
    ]
    assert "alice" not in result.output
    assert "wonderland" not in result.output
    assert "looking-glass" not in result.output


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no-auth\nrealm=r\n", "who may relay: anyone (no-auth)"),
        ("user=a:b\n", "listeners:     UDP/TCP all addresses port 3478"),
        (
            "user=a:b\nrfc5780\nlistening-ip=192.0.2.1\nlistening-ip=192.0.2.2\nno-tcp\n",
            "listeners:     UDP 192.0.2.1:3478, UDP 192.0.2.2:3478, "
            "UDP 192.0.2.1:3479, UDP 192.0.2.2:3479",
        ),
        (
            "user=a:b\noauth\nserver-name=r\nrealm=r\noauth-key=north:" + "A" * 43 + "=:A256GCM\n",
            "who may relay: 1 user, 0 secrets for time-limited credentials, "
            "1 key for access tokens",
        ),
        ("user=a:b\n", "relay:         the address that the client speaks to, ports 49152-65535"),
        ("user=a:b\npeer-policy=public\n", "peer policy:   public, 0 allowed, 0 denied"),
        ("user=a:b\n", "TLS:           no"),
        (
            "user=a:b\naux-server=192.0.2.9:3490\n",
            "listeners:     UDP/TCP all addresses port 3478, UDP/TCP 192.0.2.9:3490",
        ),
        ("user=a:b\nexternal-ip=192.0.2.1\n", "external:      192.0.2.1"),
    ],
)
def test_the_summary_says_what_holds(tmp_path: Path, text: str, line: str) -> None:
    assert line in check(tmp_path, text).stdout.splitlines()


@pytest.mark.parametrize(
    ("lines", "listening", "spoken"),
    [
        (
            "no-tls\ndtls\n",
            "UDP/TCP all addresses port 3478, DTLS all addresses port 5349",
            "DTLS 1.2 (with NSS 1.3 too)",
        ),
        (
            "no-dtls\nno-tlsv1_2\n",
            "UDP/TCP all addresses port 3478, TLS all addresses port 5349",
            "TLS 1.3",
        ),
        (
            "no-udp\nno-tcp\n",
            "TLS all addresses port 5349",
            "TLS 1.2 and 1.3",
        ),
        (
            "tls-listening-port=0\n",
            "UDP/TCP all addresses port 3478",
            "TLS 1.2 and 1.3, DTLS 1.2 (with NSS 1.3 too)",
        ),
        (
            "tls-listening-port=3478\n",
            "UDP/TCP all addresses port 3478",
            "TLS 1.2 and 1.3, DTLS 1.2 (with NSS 1.3 too)",
        ),
    ],
)
def test_only_what_is_opened_and_spoken_is_printed(
    tmp_path: Path, lines: str, listening: str, spoken: str
) -> None:
    pair = make_pair(tmp_path)
    text = f"user=a:b\nrealm=r\ncert={pair.certificate}\npkey={pair.key}\n{lines}"
    printed = check(tmp_path, text).stdout.splitlines()
    assert f"listeners:     {listening}" in printed
    assert f"TLS:           {spoken}, certificate {pair.certificate}" in printed


def test_a_bad_file_gets_all_its_problems(tmp_path: Path) -> None:
    result = check(tmp_path, "listening-pi=1\nuser=hush\n")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.replace(str(tmp_path) + "/", "").splitlines() == [
        "error: turnserver.conf:1: unknown key listening-pi, did you mean listening-ip?",
        "error: turnserver.conf:2: user: expected name:password, or name:0x and 32 hexadecimal "
        "digits (what was given is not shown)",
        "2 problems, the server does not start",
    ]


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    result = CliRunner().invoke(command_line(never), ["check-config", str(tmp_path / "none.conf")])
    assert result.exit_code == 1
    assert "none.conf: no such file" in result.stderr
