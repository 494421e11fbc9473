"""Time-limited credentials (draft-uberti-behave-turn-rest-00) and the key arithmetic."""

from __future__ import annotations

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.auth.sources import KEYS_REMEMBERED, Keys, SharedSecrets, StaticKeys, StaticUsers
from ferryman.auth.time_limited import TimeLimitedName, password_for, read_username
from ferryman.engine.credential import Claim, Credential, NoCredential

NOW = 1_800_000_000.0


def test_the_key_is_md5_of_username_realm_and_password() -> None:
    assert long_term_key("gorst", "north.gov", "hero").hex() == "7da2270ccfa49786e0115366d3a3d14d"


def test_the_password_is_what_openssl_computes() -> None:
    # printf 1700000000:bob | openssl dgst -binary -sha1 -hmac secret | base64
    assert password_for("1700000000:bob", "secret") == "YeMuUjjOaxvglmPbYS9o30UEIYg="


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("1700000000:bob", TimeLimitedName(1_700_000_000, "bob")),
        ("bob:1700000000", TimeLimitedName(1_700_000_000, "bob")),
        ("1700000000", TimeLimitedName(1_700_000_000, "")),
        ("1700000000:@bob:hs.example", TimeLimitedName(1_700_000_000, "@bob:hs.example")),
        ("a:b:1700000000", TimeLimitedName(1_700_000_000, "a:b")),
        ("1700000000:1900000000", TimeLimitedName(1_700_000_000, "1900000000")),
        ("1700000000:", TimeLimitedName(1_700_000_000, "")),
        ("bob", None),
        ("bob:", None),
        (":1700000000", None),
        ("", None),
        ("-5:bob", None),
        ("1.5:bob", None),
        ("\u0661\u0662:bob", None),
        ("9" * 16, None),
    ],
)
def test_the_time_stamp_is_found_wherever_it_stands(
    username: str, expected: TimeLimitedName | None
) -> None:
    assert read_username(username) == expected


def test_the_separator_can_be_another() -> None:
    assert read_username("1700000000|bob", "|") == TimeLimitedName(1_700_000_000, "bob")
    assert read_username("1700000000:bob", "|") is None


def keys(*secrets: str) -> Keys:
    users = StaticUsers({"alice": StaticKeys.of("alice", "r", "pw")}, "r")
    return Keys((users, SharedSecrets(secrets, "r")))


def test_static_users_and_time_limited_ones_are_both_known() -> None:
    both = keys("s")
    alice = both.resolve(Claim("alice"), unix_time=NOW)
    bob = both.resolve(Claim("1900000000:bob"), unix_time=NOW)
    assert isinstance(alice, Credential)
    assert isinstance(bob, Credential)
    assert alice.keys == (long_term_key("alice", "r", "pw"),)
    password = password_for("1900000000:bob", "s")
    assert bob.keys == (long_term_key("1900000000:bob", "r", password),)


def test_every_secret_of_a_rotation_has_its_key() -> None:
    credential = keys("new", "old").resolve(Claim("1900000000:bob"), unix_time=NOW)
    assert isinstance(credential, Credential)
    assert len(set(credential.keys)) == 2


def test_a_credential_is_good_up_to_its_second_and_not_after() -> None:
    secrets = keys("s")
    assert isinstance(secrets.resolve(Claim("1800000000:b"), unix_time=NOW), Credential)
    expired = secrets.resolve(Claim("1800000000:b"), unix_time=NOW + 1)
    assert expired == NoCredential("the time-limited credential expired 1 s ago")


def test_quotas_count_the_user_behind_the_time_stamps() -> None:
    names = ("1900000000:bob", "1900000001:bob", "bob:1900000002")
    found = [keys("s").resolve(Claim(name), unix_time=NOW) for name in names]
    assert {one.owner for one in found if isinstance(one, Credential)} == {"bob"}


def test_an_unknown_name_has_no_credential() -> None:
    assert isinstance(keys("s").resolve(Claim("mallory"), unix_time=NOW), NoCredential)


def test_without_secrets_a_time_stamp_is_a_name_like_any_other() -> None:
    only_users = Keys((StaticUsers({}, "r"),))
    assert isinstance(only_users.resolve(Claim("1900000000:b"), unix_time=NOW), NoCredential)


def test_names_of_strangers_push_out_one_another_and_no_more() -> None:
    secrets = SharedSecrets(["secret"], "r")
    for number in range(2 * KEYS_REMEMBERED):
        secrets.credential(Claim(f"1900000000:{number}"), unix_time=NOW)
    assert secrets._keys.cache_info().currsize == KEYS_REMEMBERED
    mine = "1900000000:0"
    again = secrets.credential(Claim(mine), unix_time=NOW)
    assert isinstance(again, Credential)
    assert again.keys == (long_term_key(mine, "r", password_for(mine, "secret")),)


def test_nothing_that_holds_a_secret_shows_it() -> None:
    users = StaticUsers({"alice": StaticKeys(b"KEYKEYKEYKEYKEYK", b"KEYKEYKEYKEYKEYK")}, "r")
    credential = users.credential(Claim("alice"), unix_time=NOW)
    holders = (users, SharedSecrets(("hush",), "r"), credential, keys("hush"))
    shown = " ".join(repr(holder) for holder in holders)
    assert "hush" not in shown
    assert "KEYKEY" not in shown
