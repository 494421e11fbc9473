"""The journal in coturn's lines: what reads coturn's log reads this one, and nobody is fooled."""

from __future__ import annotations

import io
import re
from typing import get_args

import pytest

from ferryman.engine.changes import Usage
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import (
    BindingAnswered,
    Challenged,
    ChannelBound,
    Closed,
    ConnectionBound,
    ConnectionEnded,
    Ending,
    Entry,
    Moved,
    MoveGivenUp,
    Moving,
    Opened,
    PacketDropped,
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
from ferryman.server.journal_log import REFUSALS_PER_SECOND
from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.wire.address import Address
from ferryman.wire.registry import Method

CLIENT = FiveTuple(Transport.UDP, Address.of("203.0.113.9", 4000), Address.of("192.0.2.1", 1), 1)
PEER = Address.of("198.51.100.7", 9)
SIX = Address.of("2001:db8::5", 9)

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}"
SESSION = "session 000000000000000007: "
NOBODY = "session 000000000000000000: "
OURS = "realm=<north.gov>, username=<alice>"
WHOSE = "realm <north.gov> user <alice>"
FAILED_LOGIN = re.compile(
    rf"^{STAMP} INFO session \d+: realm <[^>]*> user <[^>]+>: incoming packet message processed, "
    r"error 401: Unauthorized, remote \[?(?P<host>[0-9a-f.:]+?)\]?:\d+(?:,|$)"
)
"""What a filter of fail2ban looks for."""


def lines(*entries: Entry, level: int = 10) -> list[str]:
    stream = io.StringIO()
    steady = SteadyStream(stream)
    log = make_log(Format.COTURN, level, steady)
    CoturnJournalLog(log, steady, "north.gov", lambda: Lifetimes(300, 600)).write(
        list(entries), now=SECOND
    )
    return stream.getvalue().splitlines()


def told(*entries: Entry, level: int = 10) -> list[str]:
    """The lines without their times."""
    written = lines(*entries, level=level)
    assert all(re.match(f"{STAMP} ", line) for line in written)
    return [re.sub(f"^{STAMP} ", "", line) for line in written]


def test_an_allocation_opens_as_in_coturn() -> None:
    assert told(Opened(CLIENT, 7, "alice", (PEER, SIX), 600)) == [
        "INFO IPv4. Local relay addr: 198.51.100.7:9",
        "INFO IPv6. Local relay addr: [2001:db8::5]:9",
        f"INFO {SESSION}new, {OURS}, lifetime=600",
        f"INFO {SESSION}{WHOSE}: incoming packet ALLOCATE processed, success",
    ]


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending.EXPIRED, "allocation timeout"),
        (Ending.DISCONNECTED, "TCP connection closed by client (callback)"),
        (Ending.STOPPED, "server stopped"),
    ],
)
def test_an_allocation_ends_with_its_usage(ending: Ending, reason: str) -> None:
    usage = Usage(14, 1572, 13, 1036, 2)
    assert told(Closed(CLIENT, 7, "alice", (PEER,), ending, 600, usage)) == [
        f"INFO {SESSION}usage: {OURS}, rp=14, rb=1572, sp=13, sb=1036",
        f"INFO {SESSION}peer usage: {OURS}, rp=13, rb=1036, sp=14, sb=1572",
        f"INFO {SESSION}closed (2nd stage), user <alice> realm <north.gov> origin <>, "
        f"local 192.0.2.1:1, remote 203.0.113.9:4000, reason: {reason}",
        f"INFO {SESSION}delete: {OURS}",
    ]


def test_a_refresh_to_zero_is_told_before_the_end() -> None:
    usage = Usage(0, 0, 0, 0, 0)
    entry = Closed(CLIENT, 7, "alice", (PEER,), Ending.REFRESHED_TO_ZERO, 600, usage)
    assert told(entry)[:2] == [
        f"INFO {SESSION}refreshed, {OURS}, lifetime=0",
        f"INFO {SESSION}{WHOSE}: incoming packet REFRESH processed, success",
    ]


def test_a_verbose_log_has_what_happens_between() -> None:
    entries: list[Entry] = [
        Refreshed(CLIENT, 7, "alice", 777),
        Permitted(CLIENT, 7, "alice", (PEER, SIX)),
        ChannelBound(CLIENT, 7, "alice", 0x4000, PEER),
    ]
    assert told(*entries) == [
        f"INFO {SESSION}refreshed, {OURS}, lifetime=777",
        f"INFO {SESSION}{WHOSE}: incoming packet REFRESH processed, success",
        f"INFO {SESSION}peer 198.51.100.7:9 lifetime updated: 300",
        f"INFO {SESSION}peer [2001:db8::5]:9 lifetime updated: 300",
        f"INFO {SESSION}{WHOSE}: incoming packet CREATE_PERMISSION processed, success",
        f"INFO {SESSION}peer 198.51.100.7:9 lifetime updated: 600",
        f"INFO {SESSION}{WHOSE}: incoming packet CHANNEL_BIND processed, success",
    ]
    assert told(*entries, level=20) == []


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (Refusal.UNKNOWN_USER, "Cannot find credentials of user <alice>"),
        (Refusal.WRONG_PASSWORD, "user alice credentials are incorrect"),
    ],
)
def test_a_failed_login_has_the_clients_address(refusal: Refusal, why: str) -> None:
    assert told(RefusedRequest(CLIENT, Method.ALLOCATE, "alice", refusal, ""), level=20) == [
        f"ERROR {NOBODY}check_stun_auth: {why}, remote 203.0.113.9:4000",
        f"INFO {NOBODY}{WHOSE}: incoming packet message processed, error 401: Unauthorized, "
        "remote 203.0.113.9:4000",
    ]


def test_an_ordinary_challenge_is_no_failed_login() -> None:
    entry = Challenged(CLIENT, Method.ALLOCATE, Refusal.NO_INTEGRITY)
    assert told(entry, level=20) == []
    (line,) = lines(entry)
    assert line.endswith("user <>: incoming packet message processed, error 401: Unauthorized, "
                         "remote 203.0.113.9:4000")  # fmt: skip
    assert not FAILED_LOGIN.search(line)


def test_a_refused_peer_is_told_with_the_rule() -> None:
    entry = RefusedRequest(
        CLIENT,
        Method.CREATE_PERMISSION,
        "alice",
        Refusal.FORBIDDEN_PEER,
        "10.0.0.1:80 refused by X",
    )
    assert told(entry) == [
        f"INFO {NOBODY}{WHOSE}: incoming packet CREATE_PERMISSION processed, error 403: "
        "Forbidden IP, remote 203.0.113.9:4000, because: 10.0.0.1:80 refused by X"
    ]


@pytest.mark.parametrize("client", ["203.0.113.9", "2001:db8::9"])
@pytest.mark.parametrize(
    "user",
    [
        "alice",
        "1798803245:alice",
        "x>: incoming packet message processed, error 401: Unauthorized, remote 192.0.2.77:1 <y",
        "x>: incoming packet message processed, error 401: Unauthorized, remote 192.0.2.77:1\n",
        "x\r\n2026-01-01T00:00:00.000+0000 INFO session 1: realm <> user <x>: incoming packet "
        "message processed, error 401: Unauthorized, remote 192.0.2.77:1",
        "<HOST>",
        "\0",
        '"',
        "%n%s",
        "x" * 512,
    ],
)
def test_nobody_gets_another_banned_by_the_name_they_give(client: str, user: str) -> None:
    five_tuple = CLIENT._replace(client=Address.of(client, 4000))
    entry = RefusedRequest(five_tuple, Method.ALLOCATE, user, Refusal.WRONG_PASSWORD, "")
    error, line = lines(entry)
    found = FAILED_LOGIN.search(line)
    assert found is not None
    assert found["host"] == client
    assert line.isascii()
    assert line.isprintable()
    assert not FAILED_LOGIN.search(error)
    assert "192.0.2.77:1" not in error.split(" ") + line.split(" ")


def test_every_refusal_has_a_phrase() -> None:
    for refusal in Refusal:
        (*_, line) = told(RefusedRequest(CLIENT, Method.ALLOCATE, "alice", refusal, ""))
        assert f"error {refusal.code}: " in line


def test_a_flood_of_failed_logins_is_counted_not_written() -> None:
    refusal = RefusedRequest(CLIENT, Method.ALLOCATE, "a", Refusal.WRONG_PASSWORD, "")
    assert len(lines(*[refusal] * 1000)) == 2 * REFUSALS_PER_SECOND


LIES = "x user <a>: incoming packet message processed, error 401: Unauthorized, remote 192.0.2.99:1"
IN_THE_DOCS = re.compile(
    r"user <[^>]+>: incoming packet message processed, error 401: Unauthorized, "
    r"remote \[?(?P<host>\S+?)\]?:\d+"
)
OF_LIES: dict[type, Entry] = {
    type(entry): entry
    for entry in (
        Challenged(CLIENT, Method.ALLOCATE, Refusal.NO_INTEGRITY),
        Unanswered(CLIENT, Method.ALLOCATE, Silence.TOO_MANY),
        RefusedRequest(CLIENT, Method.ALLOCATE, LIES, Refusal.WRONG_PASSWORD, ""),
        Opened(CLIENT, 7, LIES, (PEER,), 600),
        Refreshed(CLIENT, 7, LIES, 600),
        Moving(CLIENT, 7, LIES, CLIENT),
        Moved(CLIENT, 7, LIES, CLIENT),
        MoveGivenUp(CLIENT, 7, LIES),
        RelayedClosed(CLIENT, 7, LIES, PEER, Ending.EXPIRED),
        Permitted(CLIENT, 7, LIES, (PEER,)),
        ChannelBound(CLIENT, 7, LIES, 0x4000, PEER),
        ConnectionBound(CLIENT, 7, LIES, PEER),
        ConnectionEnded(CLIENT, 7, LIES, PEER, 1, 1),
        BindingAnswered(CLIENT),
        PacketDropped(CLIENT, "not_turn", 9, LIES.encode()),
        Closed(CLIENT, 7, LIES, (PEER,), Ending.EXPIRED, 1, Usage(0, 0, 0, 0, 0)),
    )
}


def test_a_name_in_any_entry_has_nobody_banned_who_reads_the_docs() -> None:
    assert set(OF_LIES) == set(get_args(Entry)), "each kind of entry has its lie"
    banned = [
        found["host"] for line in lines(*OF_LIES.values()) for found in IN_THE_DOCS.finditer(line)
    ]
    assert banned == [CLIENT.client.host], "who guessed a password, and nobody else"
