"""The fail2ban filter finds wrong passwords in what the running server logs, and nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.packaging.files import PACKAGING
from tests.servers import program, start_server

FILTER = PACKAGING / "fail2ban/filter.conf"
LINES = ("user=alice:wonderland", "realm=example.org", "allow-loopback-peers", "verbose")

HEAD = "2026-01-02T03:04:05.678901Z warning refused"
JSON = (
    '{"timestamp": "2026-01-02T03:04:05.678901Z", "level": "warning", "event": "refused", '
    '"client": "198.51.100.7:50112", "transport": "udp", '
    '"user": "a\\" \\"client\\": \\"9.9.9.9:9", "method": "allocate", "code": 401, "reason": "r"}'
)
TAIL = 'reason="the integrity does not match" clause="RFC 8489 section 9.2.4"'


def found_in(log: Path) -> tuple[int, list[str]]:
    """How many lines match, and the addresses in them."""
    said = subprocess.run(
        [program("fail2ban-regex"), "--out=<ip>", str(log), str(FILTER)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    addresses = said.stdout.split()
    return len(addresses), sorted(set(addresses))


def call(port: int, *flags: str, password: str) -> None:
    command = [program("turnutils_uclient"), "-n", "1", "-y", "-u", "alice", "-w", password]
    subprocess.run(
        [*command, "-p", str(port), *flags, "127.0.0.1"],
        check=False,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.interop
@pytest.mark.parametrize("style", ["text", "json"])
def test_wrong_passwords_are_found_and_good_calls_are_not(style: str, tmp_path: Path) -> None:
    with start_server([*LINES, f"log-format={style}"], tmp_path) as server:
        call(server.port, password="wonderland")
        assert found_in(server.log_path) == (0, [])
        call(server.port, password="looking-glass")
        count, addresses = found_in(server.log_path)
    assert count >= 1, server.log
    assert addresses == ["127.0.0.1"]
    assert re.search(r"code\W+401", server.log)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        (f"{HEAD} client=198.51.100.7:50112 transport=udp user=bob method=allocate code=401 {TAIL}",
         "198.51.100.7"),
        (f"{HEAD} client=[2001:db8::7]:512 transport=tls user=bob method=allocate code=401 {TAIL}",
         "2001:db8::7"),
        (f"2026-01-02T03:04:05+00:00 turn ferryman[77]: {HEAD} client=198.51.100.7:50112 "
         f"transport=udp user=bob method=allocate code=401 {TAIL}", "198.51.100.7"),
        (f'2026-01-02T03:04:05+00:00 turn ferryman[77]: {JSON}', "198.51.100.7"),
        (JSON, "198.51.100.7"),
        (f'{HEAD} client=198.51.100.7:1 transport=udp user="a \\" client=9.9.9.9:9 code=401" '
         f"method=refresh code=401 {TAIL}", "198.51.100.7"),
        (f'{HEAD} client=198.51.100.7:1 transport=udp user="x client=9.9.9.9:9 code=401 " '
         f"method=refresh code=403 {TAIL}", None),
        (f"{HEAD} client=198.51.100.7:1 transport=udp user=bob method=allocate code=486 {TAIL}",
         None),
    ],
)  # fmt: skip
def test_a_username_frames_nobody(line: str, address: str | None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(line + "\n")
    assert found_in(log) == ((1, [address]) if address else (0, []))
