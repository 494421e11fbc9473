"""Who may relay: no open relay by accident, users and secrets together, and nothing shown."""

from __future__ import annotations

import pytest

from ferryman.config import Configuration, ConfigurationError
from ferryman.config.option import Option
from ferryman.config.table import OPTIONS
from tests.config.reading import Reading

NONE = (
    "warning: no credentials: Binding is answered, nobody can relay; "
    "expected user, static-auth-secret, or no-auth to let anyone relay; "
    "users and secrets in coturn's database (turndb) are not read"
)


def secrets(configuration: Configuration) -> list[str]:
    return [secret.get_secret_value() for secret in configuration.auth_secrets]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("use-auth-secret\n", [
            "turnserver.conf:1: use-auth-secret: expected at least one static-auth-secret beside it"
        ]),
        ("use-auth-secret\nuser=a:b\n", [
            "turnserver.conf:1: use-auth-secret: expected at least one static-auth-secret beside it"
        ]),
        ("use-auth-secret\nmysql-userdb=host=x password=y\n", [
            "turnserver.conf:1: use-auth-secret: expected at least one static-auth-secret beside "
            "it; none is read from mysql-userdb"
        ]),
        ("no-auth\nuser=a:b\n", [
            "turnserver.conf:1: no-auth: expected either no-auth or credentials, got user as well"
        ]),
        ("no-auth\nlt-cred-mech\nstatic-auth-secret=abc\n", [
            "turnserver.conf:1: no-auth: expected either no-auth or credentials, "
            "got static-auth-secret, lt-cred-mech as well"
        ]),
        ("no-auth\nlt-cred-mech=no\nuse-auth-secret=no\n", []),
        ("no-auth\n", []),
        ("user=a:b\n", []),
        ("static-auth-secret=abc\n", []),
        ("use-auth-secret\nstatic-auth-secret=abc\n", []),
    ],
)  # fmt: skip
def test_a_file_needs_credentials_or_a_clear_word(
    reading: Reading, text: str, problems: list[str]
) -> None:
    assert reading.problems(text) == problems


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [NONE]),
        ("lt-cred-mech\n", [NONE]),
        ("no-auth=no\n", [NONE]),
        ("userdb=/var/lib/turn/turndb\n", [NONE]),
        ("use-auth-secret=0\nstatic-auth-secret=abc\n", [NONE]),
        ("stun-only\n", []),
        ("user=a:b\n", []),
    ],
)
def test_a_file_without_credentials_says_that_nobody_can_relay(
    reading: Reading, text: str, lines: list[str]
) -> None:
    configuration = reading.file(text)
    assert [line for line in reading.notices(configuration) if "no cred" in line] == lines
    assert not configuration.secret_in_state_folder
    assert not configuration.no_auth


def test_users_and_secrets_are_in_force_together(reading: Reading) -> None:
    configuration = reading.file(
        "lt-cred-mech\nuse-auth-secret\nuser=a:b\nstatic-auth-secret=c\nstatic-auth-secret=d\n"
    )
    assert [user.name for user in configuration.users] == ["a"]
    assert secrets(configuration) == ["c", "d"]
    assert not configuration.secret_in_state_folder
    assert (
        "warning: turnserver.conf:3: user: in force as well: coturn passes users over beside "
        "use-auth-secret"
    ) in reading.notices(configuration), "a user who was forgotten there is let in here"


@pytest.mark.parametrize(
    "text", ["user=a:b\n", "user=a:b\nstatic-auth-secret=c\nuse-auth-secret=0"]
)
def test_users_alone_are_nothing_to_speak_of(reading: Reading, text: str) -> None:
    said = reading.notices(reading.file(text))
    assert not [line for line in said if "in force as well" in line]


def test_a_secret_needs_no_key_beside_it(reading: Reading) -> None:
    assert secrets(reading.file("static-auth-secret=c\n")) == ["c"]


def test_secrets_can_be_put_out_of_force(reading: Reading) -> None:
    configuration = reading.file("use-auth-secret=0\nstatic-auth-secret=c\nuser=a:b\n")
    assert secrets(configuration) == []
    assert (
        "warning: turnserver.conf:1: static-auth-secret: not in force: use-auth-secret is off"
        in reading.notices(configuration)
    )


@pytest.mark.parametrize(
    "flags",
    [
        [("user", "a:b")],
        [("static-auth-secret", "abc")],
        [("no-auth", None)],
    ],
)
def test_credentials_in_flags_stand_in_for_the_secret_of_the_state_folder(
    reading: Reading, flags: list[tuple[str, str | None]]
) -> None:
    assert not reading.flags(*flags).secret_in_state_folder


@pytest.mark.parametrize("flags", [[("use-auth-secret", None)], [("lt-cred-mech", None)], []])
def test_without_a_file_the_secret_of_the_state_folder_is_in_force(
    reading: Reading, flags: list[tuple[str, str | None]]
) -> None:
    assert reading.flags(*flags).secret_in_state_folder


def test_secrets_that_are_switched_off_are_not_replaced_by_one_that_nobody_knows(
    reading: Reading,
) -> None:
    with pytest.raises(ConfigurationError, match="no credentials"):
        reading.flags(("use-auth-secret", "no"))


def test_an_open_relay_is_pointed_out(reading: Reading) -> None:
    configuration = reading.file("no-auth\n")
    assert configuration.no_auth
    assert (
        "warning: turnserver.conf:1: no-auth: anyone may relay through this server"
        in reading.notices(configuration)
    )


def test_a_user_may_come_with_a_key(reading: Reading) -> None:
    (user,) = reading.file("user=a:0x00112233445566778899AABBCCDDEEFF\n").users
    assert user.password is None
    assert user.key is not None
    assert user.key.get_secret_value() == bytes.fromhex("00112233445566778899aabbccddeeff")


def test_of_one_name_the_last_user_counts(reading: Reading) -> None:
    configuration = reading.file("user=a:first\nuser=b:x\nuser=a:last\n")
    passwords = {user.name: user.password for user in configuration.users}
    assert passwords["a"] is not None
    assert passwords["a"].get_secret_value() == "last"
    assert len(configuration.users) == 2
    assert (
        "warning: turnserver.conf:1,3: user: one name more than once, the last one counts"
        in reading.notices(configuration)
    )


SECRET = "hush-4711-hush"
KEY = "c0ffee00" * 4


@pytest.mark.parametrize(
    "text",
    [
        f"user=a:{SECRET}",
        f"user={SECRET}",
        f"user=:{SECRET}",
        f"user a:0x{SECRET}",
        f"user=a:0x{KEY}",
        f"user=a:0x{KEY}00",
        f"user=<{SECRET}>",
        f"user=a:{SECRET} # why",
        f"user=a:{SECRET}\nuser=a:{SECRET}2",
        f"user=a:{SECRET}\x01",
        f"static-auth-secret={SECRET}",
        f"static-auth-secret={SECRET};",
        f"static-auth-secret:{SECRET}",
        f"static-auth-secret,{SECRET}",
        f"static-auth-secrets={SECRET}",
        f"static-auth-secrets:{SECRET}",
        f"static-auth-secret=<{SECRET}>",
        f"use-auth-secret={SECRET}",
        f"lt-cred-mech={SECRET}",
        f"nonsense={SECRET}",
        f"nonsense {SECRET}",
        f"stateless-nonce-secret={SECRET}",
        f"cli-password={SECRET}",
        f"pkey-pwd={SECRET}",
        f"psql-userdb=host=x password={SECRET}",
        f"redis-statsdb=ip=x password={SECRET}",
        f"mongo-userdb=mongodb://x:{SECRET}@y",
        KEY,
        KEY * 2,
        SECRET,
        f"+{SECRET}",
        f"=user=a:{SECRET}",
    ],
)
def test_no_secret_is_ever_shown(reading: Reading, text: str) -> None:
    shown = "\n".join(reading.problems(text))
    try:
        configuration = reading.file(text + "\nno-auth=no\nuser=other:one\n")
    except ConfigurationError as error:
        shown += str(error) + repr(error)
    else:
        shown += repr(configuration) + str(configuration) + str(configuration.model_dump())
        shown += "\n".join(reading.notices(configuration))
    assert shown
    assert SECRET not in shown
    assert KEY not in shown
    assert repr(bytes.fromhex(KEY)) not in shown


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS if o.secret], ids=[o.name for o in OPTIONS if o.secret]
)
def test_a_flag_that_holds_a_secret_never_shows_it(reading: Reading, option: Option) -> None:
    for text in (SECRET, f"<{SECRET}>", f"{SECRET}\x02", f"a:0x{SECRET}"):
        shown = reading.problems("user=other:one", (option.name, text))
        if not shown:
            shown = [repr(reading.file("user=other:one", (option.name, text)))]
        assert SECRET not in "\n".join(shown)


@pytest.mark.parametrize(
    ("line", "name", "password"),
    [
        ("user=jose\u0301:cafe\u0301", "jos\u00e9", "caf\u00e9"),
        ("user=a:x\u3000y", "a", "x y"),
        ("user=a:The\u00adMatrix", "a", "The\u00adMatrix"),
        ("user=a:M\u00aatr\u2168", "a", "M\u00aatr\u2168"),
    ],
)
def test_names_and_passwords_are_prepared_as_rfc_8489_wants_them(
    reading: Reading, line: str, name: str, password: str
) -> None:
    (user,) = reading.file(line + "\n").users
    assert user.password is not None
    assert (user.name, user.password.get_secret_value()) == (name, password)


@pytest.mark.parametrize(
    ("text", "key"), [("user=a:The\u00adMatrix", "user"), ("user=a:b\nrealm=x\u00ady", "realm")]
)
def test_a_text_that_cannot_be_prepared_is_taken_as_written_with_a_warning(
    reading: Reading, text: str, key: str
) -> None:
    what = "holds a character that OpaqueString (RFC 8265) forbids; taken as written"
    line = text.count("\n") + 1
    notices = reading.notices(reading.file(text + "\n"))
    assert f"warning: turnserver.conf:{line}: {key}: {what}" in notices


def test_the_realm_is_prepared_too(reading: Reading) -> None:
    assert reading.file("user=a:b\nrealm=cafe\u0301.example\n").realm == "caf\u00e9.example"


@pytest.mark.parametrize(
    ("length", "beside", "octets"),
    [
        (68, "", None),
        (69, "", 116),
        (60, "fingerprint", None),
        (61, "fingerprint", 116),
        (127, "", 172),
        (127, "no-udp", None),
    ],
)
def test_a_realm_too_long_to_be_shown_over_udp_is_warned_about(
    reading: Reading, length: int, beside: str, octets: int | None
) -> None:
    configuration = reading.file(f"user=a:b\nrealm={'r' * length}\n{beside}\n")
    warned = [line for line in reading.notices(configuration) if "turnserver.conf:2: realm" in line]
    assert len(warned) == (octets is not None)
    assert octets is None or f"a 401 has {octets} octets" in warned[0]
