"""oauth, its keys and its database: what is read, what is missing, and that no key is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.auth.access_token import Algorithm, TokenKey
from ferryman.config import Configuration
from ferryman.config.values import ThirdPartyKeys
from tests.config.reading import CREDENTIALS, Reading

# coturn's test keys; each has a byte more than its algorithm takes.
NORTH = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK"
UNION = "MTIzNDU2Nzg5MDEyMzQ1Ngo="


def third_party(reading: Reading, *lines: str) -> ThirdPartyKeys:
    found = reading.file("\n".join(("oauth", "realm=north.gov", *lines))).third_party
    assert found is not None
    return found


def said(reading: Reading, configuration: Configuration) -> list[str]:
    """What is said about these keys."""
    words = ("oauth", "server-name", "userdb", "db")
    return [
        line
        for line in reading.notices(configuration)
        if line.split(": ")[2].split(",")[0] in words
    ]


def test_it_is_off_by_default(reading: Reading) -> None:
    assert reading.lines().third_party is None
    assert reading.lines("oauth=no").third_party is None


def test_a_key_of_the_file(reading: Reading) -> None:
    found = third_party(reading, f"oauth-key=north:{NORTH}:A256GCM")
    key = TokenKey("north", Algorithm.A256GCM, b"01234567890123456789012345678901", None)
    assert found == ThirdPartyKeys("north.gov", (key,), None)


def test_several_keys_one_of_them_with_a_lifetime(reading: Reading) -> None:
    found = third_party(
        reading, f"oauth-key=north:{NORTH}:A256GCM:0:0", f"oauth-key=union:{UNION}:A128GCM:1700:300"
    )
    assert [(key.kid, key.expires) for key in found.keys] == [("north", None), ("union", 2000)]


def test_the_servers_name_is_the_realm_unless_it_has_another(reading: Reading) -> None:
    key = f"oauth-key=union:{UNION}:A128GCM"
    assert third_party(reading, key).server_name == "north.gov"
    assert third_party(reading, key, "server-name=turn.north.gov").server_name == "turn.north.gov"


@pytest.mark.parametrize("name", ["userdb", "db"])
def test_a_database_may_hold_the_keys(reading: Reading, name: str) -> None:
    found = third_party(reading, f"{name}=/var/lib/turn/turndb")
    assert found.database == Path("/var/lib/turn/turndb")
    assert found.keys == ()


def test_one_line_says_how_little_of_a_database_is_read(reading: Reading) -> None:
    expected = (
        "only the table oauth_key is read, and only with oauth; "
        "users, secrets and realms come from this file and the flags"
    )
    assert said(reading, reading.lines("userdb=/var/lib/turn/turndb")) == [
        f"warning: turnserver.conf:2: userdb: {expected}"
    ]
    both = reading.lines("userdb=/a", "db=/b")
    assert said(reading, both) == [f"warning: turnserver.conf:2,3: userdb, db: {expected}"]
    assert said(reading, reading.lines("userdb=")) == []


def test_keys_alone_are_credentials_enough(reading: Reading) -> None:
    key = f"oauth-key=union:{UNION}:A128GCM"
    assert reading.problems(f"oauth\n{key}\n") == []
    said = reading.notices(reading.file(f"{key}\n"))
    assert [line for line in said if "no credentials" in line]
    configuration = reading.flags(("oauth", None), ("oauth-key", f"union:{UNION}:A128GCM"))
    assert not configuration.secret_in_state_folder


def test_tokens_without_a_key_stop_the_start(reading: Reading) -> None:
    assert reading.problems(CREDENTIALS + "oauth\n") == [
        "turnserver.conf:2: oauth: expected at least one oauth-key beside it, or userdb"
    ]


def test_no_auth_and_tokens_exclude_each_other(reading: Reading) -> None:
    problems = reading.problems(f"no-auth\noauth\noauth-key=union:{UNION}:A128GCM\n")
    assert problems == [
        "turnserver.conf:1: no-auth: expected either no-auth or credentials, got oauth as well"
    ]


@pytest.mark.parametrize(
    ("line", "notice"),
    [
        (f"oauth-key=union:{UNION}:A128GCM", "oauth-key: no effect without oauth"),
        ("server-name=turn.north.gov", "server-name: no effect without oauth"),
    ],
)
def test_what_is_idle_says_so(reading: Reading, line: str, notice: str) -> None:
    found = reading.notices(reading.lines(line))
    assert f"warning: turnserver.conf:2: {notice}" in found


FORM = "expected KID:BASE64:A128GCM|A256GCM[:TIMESTAMP:LIFETIME]"
SIZES = "16 bytes for A128GCM, 32 for A256GCM"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", FORM),
        ("union", FORM),
        (f"union:{UNION}", FORM),
        (f":{UNION}:A128GCM", FORM),
        (f"union:{UNION}:A128GCM:1", FORM),
        (f"union:{UNION}:A128GCM:1:2:3", FORM),
        (f"{'k' * 509}:{UNION}:A128GCM", FORM),
        (f"union:{UNION}:A128GCM:now:1", "expected a UNIX timestamp and a lifetime in seconds"),
        (f"union:{UNION}:A128GCM:1:-1", "expected a UNIX timestamp and a lifetime in seconds"),
        (f"union:{UNION}:a128gcm", "expected the algorithm A128GCM or A256GCM"),
        (f"union:{UNION}:", "expected the algorithm A128GCM or A256GCM"),
        (f"union:{UNION}:A256GCM", f"expected a longer key: {SIZES}"),
        ("union::A128GCM", f"expected a longer key: {SIZES}"),
        ("union:MTIzNDU2Nzg5MDEyMzQ1!!!=:A128GCM", f"expected the key in base64: {SIZES}"),
        ("union:MTIzNDU2Nzg5MDEyMzQ1Ngo:A128GCM", f"expected the key in base64: {SIZES}"),
    ],
)
def test_a_bad_key_is_not_shown(reading: Reading, value: str, complaint: str) -> None:
    problems = reading.problems(CREDENTIALS + f"oauth\noauth-key={value}\n")
    assert problems == [f"turnserver.conf:3: oauth-key: {complaint} (what was given is not shown)"]


def test_nothing_shows_a_key(reading: Reading) -> None:
    configuration = reading.file(f"oauth\noauth-key=north:{NORTH}:A256GCM\n")
    for shown in (
        repr(configuration),
        str(configuration.third_party),
        *map(str, configuration.notices),
    ):
        assert NORTH not in shown
        assert "0123456789" not in shown
