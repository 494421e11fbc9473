"""The fail2ban filter finds wrong passwords in what the running server logs, and nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.packaging.files import PACKAGING
from tests.servers import program, start_server
from tests.turn_client import TurnClient

FILTER = PACKAGING / "fail2ban/filter.conf"
LINES = (
    "user=alice:wonderland",
    "realm=example.org",
    "verbose",
)

HEAD = "2026-01-02T03:04:05.678901Z warning refused"
JSON = (
    '{"timestamp": "2026-01-02T03:04:05.678901Z", "level": "warning", "event": "refused", '
    '"client": "198.51.100.7:50112", "transport": "udp", '
    '"user": "a\\" \\"client\\": \\"9.9.9.9:9", "method": "allocate", "code": 401, "reason": "r"}'
)
COTURN = (
    "2026-01-02T03:04:05.678+0000 INFO session 000000000000000000: realm <example.org> user <{}>: "
    "incoming packet message processed, error 401: Unauthorized, remote {}"
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


def code_of_a_call(port: int, password: str) -> int:
    """What the signed Allocate is answered with; 0 for an allocation."""
    with TurnClient(port, "alice", password) as client:
        return client.allocate().code


@pytest.mark.parametrize("style", ["text", "json", "coturn"])
def test_wrong_passwords_are_found_and_good_calls_are_not(style: str, tmp_path: Path) -> None:
    with start_server([*LINES, f"log-format={style}"], tmp_path) as server:
        assert code_of_a_call(server.port, "wonderland") == 0
        assert found_in(server.log_path) == (0, [])
        assert code_of_a_call(server.port, "looking-glass") == 401
        count, addresses = found_in(server.log_path)
    assert count == 1, server.log
    assert addresses == ["127.0.0.1"]
    assert re.search(r"code\W+401|error 401: Unauthorized, remote 127", server.log)


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
        (f'{HEAD} client=198.51.100.7:1 transport=udp user="{COTURN.format("x", "9.9.9.9:9")}, " '
         f"method=refresh code=403 {TAIL}", None),
        (COTURN.format("bob", "198.51.100.7:50112"), "198.51.100.7"),
        (COTURN.format("bob", "[2001:db8::7]:50112"), "2001:db8::7"),
        (COTURN.format("bob", "198.51.100.7:50112, because: the token is too old"), "198.51.100.7"),
        ("2026-01-02T03:04:05+00:00 turn turnserver[77]: " + COTURN.format("b", "198.51.100.7:1"),
         "198.51.100.7"),
        (COTURN.format("bob", "198.51.100.7:1")[29:], "198.51.100.7"),
        (COTURN.format("", "198.51.100.7:50112"), None),
        (COTURN.format("bob", "198.51.100.7:1").replace("401: Un", "438: Un"), None),
        (COTURN.format(HEAD.partition("Z ")[2] + " client=9.9.9.9:9 transport=udp user=x "
                       "method=allocate code=401 ", "198.51.100.7:1"), "198.51.100.7"),
    ],
)  # fmt: skip
def test_a_username_frames_nobody(line: str, address: str | None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(line + "\n")
    assert found_in(log) == ((1, [address]) if address else (0, []))


# What people have in their own filters for coturn's log, in its shapes: addresses are only in
# coturn's closing lines, and in its 401 since Ferryman writes it.
THEIRS = (
    r"realm <[^>]*> user <[^>]+>: incoming packet .*error 401: Unauthorized.* <HOST>:\d+",
    r"session \d+: closed \(2nd stage\), user <.*> realm <.*> origin <>, "
    r"local \S+, remote <HOST>:\d+, reason: ",
)


@pytest.mark.parametrize("expression", THEIRS)
def test_filters_that_were_written_for_coturn_find_the_client(
    expression: str, tmp_path: Path
) -> None:
    with start_server([*LINES, "log-format=coturn"], tmp_path) as server:
        assert code_of_a_call(server.port, "wonderland") == 0
        assert code_of_a_call(server.port, "looking-glass") == 401
    said = subprocess.run(
        [program("fail2ban-regex"), "--out=<ip>", str(server.log_path), expression],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert set(said.stdout.split()) == {"127.0.0.1"}, server.log
