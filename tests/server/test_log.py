"""The log: one line an event, whatever a client calls itself."""

from __future__ import annotations

import io
import json
import re
import socket
import time
from pathlib import Path

import pytest
from structlog.typing import FilteringBoundLogger

from ferryman.engine.changes import Usage
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import (
    Challenged,
    ChannelBound,
    Closed,
    Ending,
    Entry,
    Opened,
    Permitted,
    Refreshed,
    RefusedRequest,
    RelayedClosed,
    Silence,
    Unanswered,
)
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND
from ferryman.server.coturn_log import CoturnJournalLog, Lifetimes
from ferryman.server.journal_log import REFUSALS_PER_SECOND, JournalLog
from ferryman.server.line_budget import LINES_PER_SECOND, SOURCES, LineBudget
from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.server.log_time import LocalTime, SecondsSinceStart, UtcTime
from ferryman.server.sinks import LogFile, Sink, Syslog
from ferryman.wire.address import Address
from ferryman.wire.registry import Method
from tests.conformance.clause import clause

CLIENT = FiveTuple(Transport.UDP, Address.of("203.0.113.9", 4000), Address.of("192.0.2.1", 1), 1)
PEER = Address.of("2001:db8::5", 9)
NASTY = 'a\r\nb\x00c"d\\e %n\u2028\x1b[2J\x9b é\x7f'


def entries(user: str) -> list[Entry]:
    return [
        Challenged(CLIENT, Method.ALLOCATE, Refusal.NO_INTEGRITY),
        RefusedRequest(CLIENT, Method.ALLOCATE, user, Refusal.WRONG_PASSWORD, ""),
        RefusedRequest(CLIENT, Method.CHANNEL_BIND, user, Refusal.FORBIDDEN_PEER, user),
        Opened(CLIENT, 1, user, (PEER, PEER), 600),
        Refreshed(CLIENT, 1, user, 600),
        Permitted(CLIENT, 1, user, (PEER,)),
        ChannelBound(CLIENT, 1, user, 0x4000, PEER),
        RelayedClosed(CLIENT, 1, user, PEER, Ending.EXPIRED),
        Closed(CLIENT, 1, user, (PEER,), Ending.EXPIRED, 600, Usage(1, 2, 3, 4, 5)),
    ]


def journal_log(style: Format, log: FilteringBoundLogger, stream: SteadyStream) -> JournalLog:
    if style is Format.COTURN:
        return CoturnJournalLog(log, stream, "ferry.example", lambda: Lifetimes(300, 600))
    return JournalLog(log, stream)


def written(style: Format, journal: list[Entry], level: int = 10) -> list[str]:
    stream = io.StringIO()
    steady = SteadyStream(stream)
    journal_log(style, make_log(style, level, steady), steady).write(journal, now=SECOND)
    return stream.getvalue().split("\n")[:-1]


@clause(
    "RFC 8656 §21.3.2",
    "the log tells who relayed, and from where",
    "src/ferryman/server/journal_log.py",
)
@pytest.mark.parametrize("style", Format)
@pytest.mark.parametrize("user", ["alice", NASTY, "x" * 508])
def test_every_entry_is_one_line_with_the_clients_address(style: Format, user: str) -> None:
    lines = written(style, entries(user))
    assert len(lines) == len(entries(user)) or style is Format.COTURN
    for line in lines:
        assert "203.0.113.9:4000" in line or style is Format.COTURN
        assert line.isascii()
        assert line.isprintable()


def test_json_lines_give_the_name_back_as_it_was() -> None:
    lines = [json.loads(line) for line in written(Format.JSON, entries(NASTY))]
    assert {line["user"] for line in lines if "user" in line} == {NASTY}
    assert lines[-1]["sent_packets"] == 1
    assert lines[-1]["why"] == "expired"


def test_a_name_cannot_forge_another_field() -> None:
    (line,) = written(Format.TEXT, [Opened(CLIENT, 1, "x code=0 why=ok", (PEER,), 600)])
    assert 'user="x code=0 why=ok"' in line


def test_a_refusal_names_the_rule_and_the_clause() -> None:
    entry = RefusedRequest(
        CLIENT, Method.CREATE_PERMISSION, "a", Refusal.FORBIDDEN_PEER, "10.0.0.1:1 refused by X"
    )
    (line,) = written(Format.TEXT, [entry])
    assert 'reason="10.0.0.1:1 refused by X"' in line
    assert "code=403" in line
    assert "RFC 8656" in line


def test_a_flood_of_refusals_is_counted_not_written() -> None:
    stream = io.StringIO()
    steady = SteadyStream(stream)
    log = JournalLog(make_log(Format.TEXT, 10, steady), steady)
    refusal = RefusedRequest(CLIENT, Method.ALLOCATE, "a", Refusal.WRONG_PASSWORD, "")
    log.write([refusal] * 1000, now=SECOND)
    log.write([], now=2 * SECOND)
    log.tell_suppressed()
    lines = stream.getvalue().splitlines()
    assert len(lines) == REFUSALS_PER_SECOND + 1
    assert f"count={1000 - REFUSALS_PER_SECOND}" in lines[-1]


def lines_of(journal: list[Entry], level: int = 20, style: Format = Format.TEXT) -> list[str]:
    """What is written of these entries, all of one second, and of their account."""
    stream = io.StringIO()
    steady = SteadyStream(stream)
    log = journal_log(style, make_log(style, level, steady), steady)
    log.write(journal, now=SECOND)
    log.write([], now=2 * SECOND)
    log.tell_suppressed()
    return stream.getvalue().splitlines()


def opened(host: str, ending: Ending = Ending.EXPIRED) -> list[Entry]:
    client = CLIENT._replace(client=Address.of(host, 4000))
    closed = Closed(client, 1, "a", (PEER,), ending, 0, Usage(0, 0, 0, 0, 0))
    return [Opened(client, 1, "a", (PEER,), 600), closed]


def test_a_client_that_opens_and_closes_without_end_is_counted_not_written() -> None:
    lines = lines_of(opened("203.0.113.9") * 1000 + opened("198.51.100.1"))
    assert sum("203.0.113.9:4000" in line for line in lines) == LINES_PER_SECOND
    assert sum("198.51.100.1:4000" in line for line in lines) == 2
    assert lines[-1].endswith(
        f"a client's doings not logged one by one client=203.0.113.9 "
        f"count={2000 - LINES_PER_SECOND}"
    )


def test_a_client_with_a_network_is_one_source_and_few_are_named() -> None:
    journal = [entry for n in range(200) for entry in opened(f"2001:db8::{n:x}")]
    lines = lines_of(journal)
    assert len(lines) == LINES_PER_SECOND + 1
    assert "client=2001:db8::/64 count=300" in lines[-1]
    many = [entry for n in range(20) for entry in opened(f"198.51.100.{n}") * 60]
    told = lines_of(many)[20 * LINES_PER_SECOND :]
    assert len(told) == 6
    assert told[-1].endswith("client=others count=300")


def test_details_of_a_verbose_log_are_counted_as_well() -> None:
    permitted: Entry = Permitted(CLIENT, 1, "a", (PEER,))
    assert len(lines_of([permitted] * 1000, level=10)) == LINES_PER_SECOND + 1
    challenged: Entry = Challenged(CLIENT, Method.ALLOCATE, Refusal.NO_INTEGRITY)
    for style in Format:
        lines = lines_of([challenged] * 1000, level=10, style=style)
        assert len(lines) == REFUSALS_PER_SECOND + 1
        assert str(1000 - REFUSALS_PER_SECOND) in lines[-1]


def test_all_allocations_that_the_server_closes_are_written() -> None:
    journal = [opened("203.0.113.9", Ending.STOPPED)[1]] * 1000
    assert len(lines_of(journal)) == 1000


def test_more_sources_than_are_counted_share_a_line_budget() -> None:
    budget = LineBudget()
    for number in range(SOURCES):
        assert budget.allows(number.to_bytes(4, "big"))
    late = [bytes([9, 9, n // 256, n % 256]) for n in range(LINES_PER_SECOND + 7)]
    assert [budget.allows(ip) for ip in late] == [True] * LINES_PER_SECOND + [False] * 7
    assert budget.allows(bytes(4))
    assert budget.renew() == [("others", 7)]
    assert budget.renew() == []
    assert budget.allows(late[-1])


def test_the_first_challenge_is_not_news_unless_asked_for() -> None:
    challenge: list[Entry] = [Challenged(CLIENT, Method.ALLOCATE, Refusal.NO_INTEGRITY)]
    assert not written(Format.TEXT, challenge, level=20)
    assert len(written(Format.TEXT, challenge, level=10)) == 1


@pytest.mark.parametrize("transport", Transport)
def test_a_line_names_the_clients_transport(transport: Transport) -> None:
    client = CLIENT._replace(transport=transport)
    (line,) = written(Format.TEXT, [Refreshed(client, 1, "alice", 600)])
    assert f" transport={transport.name.lower()} " in line


def test_strangers_without_an_answer_make_one_line_a_second_for_each_reason() -> None:
    stream = io.StringIO()
    steady = SteadyStream(stream)
    journal = JournalLog(make_log(Format.JSON, 20, steady), steady)
    many = [Unanswered(CLIENT, Method.ALLOCATE, Silence.TOO_MANY)]
    small = [Unanswered(CLIENT, Method.ALLOCATE, Silence.TOO_SMALL)]
    for _ in range(5):
        journal.write([*many * 100, *small], now=SECOND)
    assert stream.getvalue() == ""
    journal.write([], now=2 * SECOND)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["count"], line["client"]) for line in lines] == [
        (500, "203.0.113.9:4000"),
        (5, "203.0.113.9:4000"),
    ]
    assert "unauthorized-ratelimit-rps" in lines[0]["why"]
    journal.write([], now=3 * SECOND)
    assert len(stream.getvalue().splitlines()) == 2


@pytest.mark.parametrize("style", Format)
@pytest.mark.parametrize("user", [NASTY, "\r", "\n", "\0", '"', "'", "%n", "x" * 512])
def test_a_name_makes_one_record_in_every_sink(tmp_path: Path, style: Format, user: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "syslog"))
        daemon.settimeout(0)
        stream = io.StringIO()
        sinks: list[Sink] = [LogFile(tmp_path / "log"), Syslog(3, "ferryman", tmp_path / "syslog")]
        steady = SteadyStream(stream, sinks)
        journal = journal_log(style, make_log(style, 20, steady), steady)
        journal.write([RelayedClosed(CLIENT, 1, user, PEER, Ending.EXPIRED)], now=SECOND)
        steady.close()
        record = daemon.recv(65536)
        with pytest.raises(BlockingIOError):
            daemon.recv(65536)
    line = stream.getvalue()
    assert line.isascii()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert (tmp_path / "log").read_bytes() == line.encode()
    assert record.partition(b": ")[2] + b"\n" == line.encode()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("%FT%T.%f", "2026-03-01T12:00:00.007"),
        ("%f%f", "007007"),
        ("%%f %f", "%f 007"),
        ("%H%", "12%"),
        ("[%n]", "[\\n]"),
        ("%e", " 1"),
        ("plain", "plain"),
    ],
)
def test_a_time_has_the_form_that_was_asked_for(form: str, expected: str) -> None:
    noon = int(time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))) * SECOND
    stamp = LocalTime(form)
    assert stamp.text(noon + 7_999_999) == expected
    assert stamp.text(noon + SECOND) == expected.replace("007", "000").replace(":00.", ":01.")


def test_the_time_of_a_line_is_iso_8601_in_utc() -> None:
    clock, noon = UtcTime(), 1_772_366_400 * SECOND
    assert clock.text(noon + 7_999) == "2026-03-01T12:00:00.000007Z"
    assert clock.text(noon + SECOND - 1) == "2026-03-01T12:00:00.999999Z"
    assert clock.text(noon + SECOND) == "2026-03-01T12:00:01.000000Z"


def test_seconds_since_the_start_in_place_of_a_time() -> None:
    stream = io.StringIO()
    log = make_log(Format.TEXT, 20, SteadyStream(stream), SecondsSinceStart())
    log.info("ready")
    assert re.fullmatch(r"[01] info    ready\n", stream.getvalue())
