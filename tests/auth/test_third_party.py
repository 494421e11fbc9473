"""From a claim with an access token to a credential (RFC 7635 §7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ferryman.auth.access_token import TokenKey
from ferryman.auth.third_party import DELTA, ListedKeys, ThirdParty
from ferryman.engine.credential import Claim, Credential, NoCredential
from ferryman.wire.registry import PasswordAlgorithm
from tests.tokens import MAC_KEY, NORTH, SERVER_NAME, UNION, seal

NOW = 1_700_000_000
SOURCE = ThirdParty((ListedKeys([NORTH, UNION]),), SERVER_NAME)


def resolved(
    token: bytes | None, kid: str = "north", *, source: ThirdParty = SOURCE
) -> Credential | NoCredential | None:
    return source.credential(Claim(kid, token=token), unix_time=NOW)


def granted(token: bytes, kid: str = "north", *, source: ThirdParty = SOURCE) -> Credential:
    found = resolved(token, kid, source=source)
    assert isinstance(found, Credential), found
    return found


def reason(found: Credential | NoCredential | None) -> str:
    assert isinstance(found, NoCredential), found
    return found.reason


def with_key(key: TokenKey) -> ThirdParty:
    return ThirdParty((ListedKeys([key]),), SERVER_NAME)


def test_the_session_key_proves_the_request() -> None:
    credential = granted(seal(NORTH, NOW))
    assert credential.username == "north"
    assert credential.keys[0] == MAC_KEY
    assert credential.seconds_left == 3600 + DELTA
    assert MAC_KEY.hex() not in repr(credential)
    assert repr(MAC_KEY) not in repr(credential)


def test_coturn_and_its_clients_sign_with_16_of_the_20_bytes() -> None:
    assert granted(seal(NORTH, NOW)).keys == (MAC_KEY, MAC_KEY[:16])
    longer = bytes(range(32))
    assert granted(seal(NORTH, NOW, mac_key=longer)).keys == (longer,)


def test_the_kid_says_which_key_opens_the_token() -> None:
    assert granted(seal(UNION, NOW), "union").username == "union"
    assert "not sealed" in reason(resolved(seal(NORTH, NOW), "union"))
    assert reason(resolved(seal(NORTH, NOW), "elsewhere")) == "no long-term key has this kid"


def test_the_first_source_that_knows_the_kid_counts() -> None:
    other = replace(NORTH, key=bytes(32))
    source = ThirdParty(
        (ListedKeys([UNION]), ListedKeys([other]), ListedKeys([NORTH])), SERVER_NAME
    )
    assert granted(seal(other, NOW), source=source).username == "north"
    assert "not sealed" in reason(resolved(seal(NORTH, NOW), source=source))


def test_a_claim_without_a_token_is_for_others() -> None:
    assert resolved(None) is None


@pytest.mark.parametrize(
    ("timestamp", "lifetime", "left"),
    [
        (NOW, 600, 600 + DELTA),
        (NOW - 100, 600, 500 + DELTA),
        (NOW - 600, 600, DELTA),
        (NOW - 600 - DELTA + 1, 600, 1),
        (NOW + 100, 600, 500 + DELTA),  # RFC 7635 §7: the absolute difference
        (NOW - 3, 0, 2),
        (NOW, 2**32 - 1, 2**32 - 1 + DELTA),
    ],
)
def test_what_is_left_of_a_token(timestamp: int, lifetime: int, left: int) -> None:
    assert granted(seal(NORTH, timestamp, lifetime)).seconds_left == left


@pytest.mark.parametrize(
    ("timestamp", "lifetime"),
    [
        (NOW - 600 - DELTA, 600),
        (NOW - 601 - DELTA, 600),
        (NOW + 600 + DELTA, 600),
        (NOW - DELTA, 0),
        (0, 3600),
        (2**48 - 1, 2**32 - 1),
    ],
)
def test_an_expired_token_is_of_no_use(timestamp: int, lifetime: int) -> None:
    assert "expired" in reason(resolved(seal(NORTH, timestamp, lifetime)))


def test_an_expired_key_opens_nothing() -> None:
    for expires, good in [(NOW + 1, True), (NOW - DELTA + 1, True), (NOW - DELTA, False)]:
        key = replace(NORTH, expires=expires)
        found = resolved(seal(key, NOW), source=with_key(key))
        assert isinstance(found, Credential) is good
    assert reason(found) == f"the long-term key with this kid expired {DELTA} s ago"


def test_each_token_is_an_owner_of_its_own() -> None:
    one, again = granted(seal(NORTH, NOW)), granted(seal(NORTH, NOW))
    other = granted(seal(NORTH, NOW, mac_key=bytes(20)))
    assert one.owner == again.owner
    assert one.owner != other.owner
    assert MAC_KEY.hex() not in one.owner


def test_the_clients_password_algorithm_does_not_matter() -> None:
    for algorithm in PasswordAlgorithm:
        claim = Claim("north", None, algorithm, seal(NORTH, NOW))
        found = SOURCE.credential(claim, unix_time=NOW)
        assert isinstance(found, Credential)
        assert found.algorithms == (algorithm,)


def test_a_claim_does_not_show_its_token() -> None:
    token = seal(NORTH, NOW)
    assert repr(token) not in repr(Claim("north", token=token))
