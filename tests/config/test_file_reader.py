"""How a line of turnserver.conf becomes a key and a value."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ferryman.config import ConfigurationError, load
from ferryman.config.file_reader import find_file
from ferryman.config.table import OPTIONS
from tests.config.reading import Reading


@pytest.mark.parametrize(
    "line",
    [
        "realm=example.com",
        "realm example.com",
        "realm\texample.com",
        "realm = example.com",
        "realm \t= \texample.com",
        "  realm=example.com",
        "\trealm=example.com \t ",
        'realm="example.com"',
        'realm "example.com"  ',
        'realm="example.com',
        'realm="example.com" # where we live',
        'realm="example.com";',
        "realm==example.com",
    ],
)
def test_a_value_is_found_however_the_line_is_written(reading: Reading, line: str) -> None:
    assert reading.lines(line).realm == "example.com"


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("fingerprint # like this", "fingerprint", True),
        ("fingerprint #", "fingerprint", True),
        ("fingerprint;", "fingerprint", True),
        ("fingerprint=no # not now", "fingerprint", False),
        ("stale-nonce # the default", "nonce_lifetime", 600),
        ("stale-nonce", "nonce_lifetime", 600),
        ("stale-nonce=", "nonce_lifetime", 600),
        ("stale-nonce=30\t# half a minute", "nonce_lifetime", 30),
        ("stale-nonce=30;", "nonce_lifetime", 30),
        ("stale-nonce=30 ; # and a comment", "nonce_lifetime", 30),
        ("max-allocate-lifetime", "maximum_lifetime", 3600),
        ("permission-lifetime", "permission_lifetime", 300),
        ("channel-lifetime", "channel_lifetime", 600),
        ('listening-port="3479"', "listening_port", 3479),
        ("listening-port=0", "listening_port", 0),
        ("listening-port=03479", "listening_port", 3479),
        ("peer-policy=public # safe", "peer_policy.value", "public"),
        ("realm=a # b", "realm", "a # b"),
        ("realm=a#b", "realm", "a#b"),
        ("realm=example.com;", "realm", "example.com;"),
        ("rest-api-separator=#", "rest_separator", "#"),
        ("state-dir=/srv/turn state", "state_dir", Path("/srv/turn state")),
        ("#fingerprint", "fingerprint", False),
        ("   # fingerprint", "fingerprint", False),
    ],
)
def test_comments_and_semicolons_end_only_values_that_cannot_hold_them(
    reading: Reading, line: str, attribute: str, value: object
) -> None:
    found: object = reading.lines(line)
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("line", "name", "password"),
    [
        ("user=a:abc#", "a", "abc#"),
        ("user=a:abc #d", "a", "abc #d"),
        ("user=a:b:c", "a", "b:c"),
        ("user=a:b=c;", "a", "b=c;"),
        ("user a:b c", "a", "b c"),
        ("user=a: b", "a", "b"),
        ('user="a:b c"', "a", "b c"),
        ('user="a":b', 'a"', "b"),
        ("user=ä:ö", "ä", "ö"),
    ],
)
def test_a_password_may_hold_what_ends_other_values(
    reading: Reading, line: str, name: str, password: str
) -> None:
    (user,) = reading.file(line).users
    assert user.password is not None
    assert (user.name, user.password.get_secret_value()) == (name, password)


@pytest.mark.parametrize("line", ["user=a:bcd #e", "static-auth-secret=abc;"])
def test_what_looks_like_a_comment_in_a_secret_is_pointed_out(reading: Reading, line: str) -> None:
    lines = reading.notices(reading.lines(line))
    key = line.partition("=")[0]
    assert f"warning: turnserver.conf:2: {key}: the ; or # is taken as part of the value" in lines


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfrealm=example.com\nuser=a:b\n",
        b"realm=example.com\r\nuser=a:b\r\n",
        b"\n\n\r\n \t\nrealm=example.com\n\nuser=a:b",
        b"# caf\xe9, not UTF-8\nrealm=example.com\nuser=a:b\n",
    ],
)
def test_files_from_other_systems_are_read(reading: Reading, content: bytes) -> None:
    configuration = reading.file(content)
    assert configuration.realm == "example.com"
    assert [user.name for user in configuration.users] == ["a"]


def test_a_line_may_have_any_length(reading: Reading) -> None:
    secret = "s" * 100_000
    (found,) = reading.file(f"static-auth-secret={secret}").auth_secrets
    assert found.get_secret_value() == secret


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("1", "9", "yes", "Y", "true", "T", "on", "On", "ON")),
        *((text, False) for text in ("0", "no", "N", "false", "F", "off", "Off", "OFF")),
    ],
)
def test_a_switch_takes_coturns_words(reading: Reading, text: str, value: bool) -> None:
    assert reading.lines(f"fingerprint={text}").fingerprint is value


@pytest.mark.parametrize("text", ["maybe", "oN", "o", "-1", "+", "ja"])
def test_a_switch_takes_no_other_words(reading: Reading, text: str) -> None:
    assert reading.problems(f"user=a:b\nfingerprint={text}\n") == [
        "turnserver.conf:2: fingerprint: expected yes, no, on, off, true, false, 1, 0 or no value "
        f"at all, got {text!r}"
    ]


def test_the_last_of_two_values_counts_and_a_line_says_so(reading: Reading) -> None:
    configuration = reading.lines("min-port=50000", "max-port=60000", "min-port=51000")
    assert configuration.min_port == 51000
    assert (
        "warning: turnserver.conf:2,4: min-port: given more than once, the last one counts"
        in reading.notices(configuration)
    )


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.conf: no such file"):
        load(tmp_path / "nowhere.conf", [])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load(tmp_path, [])


@pytest.mark.parametrize("folder", [".", "turnserver", "coturn", "etc", "etc/turnserver"])
def test_a_relative_name_is_found_where_coturn_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "some.conf").write_text("user=a:b\n")
    found = find_file(Path("some.conf"))
    assert found is not None
    assert os.path.samefile(found, tmp_path / folder / "some.conf")
    assert find_file(tmp_path / "some.conf") == (tmp_path / "some.conf" if folder == "." else None)


LINES = st.one_of(
    st.text(),
    st.builds(
        "{}{}{}".format,
        st.sampled_from([option.name for option in OPTIONS] + ["user", "external-ip"] * 20),
        st.sampled_from(["=", " ", "\t", "==", "", ":", "=\x00"]),
        st.one_of(st.text(), st.text('0123456789.:/-abcdefx<>#;" %[]\x00'), st.just("9" * 5000)),
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(), st.lists(LINES).map("\n".join).map(lambda text: text.encode("utf-8")))
)
@example(b"listening-ip=\xf0\x9f\x98\x80.example.com")
@example(b"denied-peer-ip=fe80::1%1-fe80::2%1")
@example(b"external-ip=1.2.3.4/")
def test_no_file_makes_the_reader_raise_anything_else(reading: Reading, content: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        reading.file(content)


@given(
    st.sampled_from([option.name for option in OPTIONS]), st.none() | st.text() | st.just("\udc80")
)
def test_no_flag_makes_the_reader_raise_anything_else(key: str, text: str | None) -> None:
    def resolve(name: str) -> tuple[bytes, ...]:
        raise OSError("no such host")

    with contextlib.suppress(ConfigurationError):
        load(None, [(key, text)], resolve=resolve)
