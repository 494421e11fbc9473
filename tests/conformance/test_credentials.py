"""The long-term credential mechanism as every client speaks it: RFC 8489 §9.2, RFC 8656 §5."""

from __future__ import annotations

import os

import pytest

from ferryman.wire.registry import Attribute, Method
from tests.conformance.clause import ADMISSION, MESSAGE, PROOF, clause
from tests.conformance.conftest import Connect
from tests.conformance.crafting import md5_key, plain, sealed_sha1
from tests.conformance.subject import Subject
from tests.turn_client import UDP_TRANSPORT, Peer, TurnClient

ALLOCATE = 0x0003
METHODS = [Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND]


@clause("RFC 8656 §21.1.1", "nothing is allocated to who proves no password", "NO_INTEGRITY")
@clause("RFC 8489 §9.2.4", "without MESSAGE-INTEGRITY: 401 with REALM and NONCE", "NO_INTEGRITY")
@pytest.mark.parametrize("method", METHODS)
def test_a_stranger_is_shown_realm_and_nonce(client: TurnClient, method: Method) -> None:
    answer = client.ask(plain(method, [UDP_TRANSPORT]))
    assert answer.code == 401
    assert answer.message.first(Attribute.REALM)
    assert answer.message.first(Attribute.NONCE)
    for absent in (Attribute.USERNAME, Attribute.USERHASH, Attribute.MESSAGE_INTEGRITY):
        assert answer.message.first(absent) is None


@clause("RFC 8489 §9.2.4", "no two clients get the same nonce", "src/ferryman/engine/nonce.py")
def test_a_nonce_is_for_one_client(connect: Connect) -> None:
    nonces = {connect().challenge().message.first(Attribute.NONCE) for _ in range(8)}
    assert len(nonces) == 8


@clause("RFC 8489 §9.2.4", "a nonce that was given to another client is 438", "STALE_NONCE")
def test_a_stolen_nonce_is_stale(connect: Connect) -> None:
    client, thief = connect(), connect()
    client.challenge()
    thief.realm, thief.nonce = client.realm, client.nonce
    answer = thief.allocate()
    assert answer.code == 438
    assert answer.message.first(Attribute.REALM)
    assert answer.message.first(Attribute.NONCE) not in (None, client.nonce)


@clause("RFC 8489 §9.2.4", "a nonce that was never given is 438, with a good one", "STALE_NONCE")
def test_an_invented_nonce_is_stale(client: TurnClient) -> None:
    client.challenge()
    client.nonce = b"0123456789abcdef"
    answer = client.allocate()
    assert answer.code == 438
    client.nonce = answer.message.first(Attribute.NONCE) or b""
    assert client.allocate().code == 0


@clause(
    "RFC 8489 §9.2.4",
    "MESSAGE-INTEGRITY without USERNAME, REALM or NONCE is 400, without a challenge",
    "INCOMPLETE_CREDENTIALS",
)
@pytest.mark.parametrize("missing", [Attribute.USERNAME, Attribute.REALM, Attribute.NONCE])
def test_incomplete_credentials_are_a_bad_request(client: TurnClient, missing: Attribute) -> None:
    client.challenge()
    kept = [pair for pair in credentials(client) if pair[0] != missing]
    answer = client.ask(sealed_sha1(plain(ALLOCATE, [UDP_TRANSPORT, *kept]), key(client)))
    assert answer.code == 400
    for absent in (Attribute.USERNAME, Attribute.REALM, Attribute.NONCE):
        assert answer.message.first(absent) is None


@clause("RFC 8489 §9.2.4", "an unknown username is 401, with a challenge", "UNKNOWN_USER")
def test_an_unknown_user_is_unauthenticated(connect: Connect) -> None:
    answer = connect(account=("nobody-knows-this-name", "sesame")).allocate()
    assert answer.code == 401
    assert answer.message.first(Attribute.NONCE)


@clause("RFC 8489 §9.2.4", "a wrong password is 401, with a challenge", "WRONG_PASSWORD")
def test_a_wrong_password_is_unauthenticated(connect: Connect, subject: Subject) -> None:
    username, password = subject.account()
    client = connect(account=(username, password + "!"))
    answer = client.allocate()
    assert answer.code == 401
    assert answer.message.first(Attribute.NONCE)


@clause("RFC 8489 §9.2.4", "after a 401 the right password works on the same 5-tuple", PROOF)
def test_a_refused_client_may_try_again(connect: Connect, subject: Subject) -> None:
    client = connect(account=(subject.account()[0], "wrong"))
    assert client.allocate().code == 401
    client.password = subject.account()[1]
    assert client.allocate().code == 0


@clause(
    "draft-uberti-behave-turn-rest-00 §2.2",
    "an expired time-limited name is refused",
    "UNKNOWN_USER",
)
def test_an_expired_name_is_refused(connect: Connect, subject: Subject) -> None:
    assert connect(account=subject.time_limited("late", seconds=-60)).allocate().code == 401


@clause(
    "RFC 8656 §21.1.5",
    "a client can tell the answers of a server that knows its password",
    "src/ferryman/engine/proof.py",
)
@clause("RFC 8489 §9.2.4", "the answer to a proved request carries MESSAGE-INTEGRITY", PROOF)
def test_answers_are_sealed(client: TurnClient) -> None:
    success = client.allocate()
    error = client.allocate()  # a second one on the 5-tuple
    assert (success.code, error.code) == (0, 437)
    for answer in (success, error):
        assert answer.message.verifies(key(client))


@clause("RFC 8489 §14.5", "attributes behind MESSAGE-INTEGRITY are ignored", MESSAGE)
def test_what_follows_the_integrity_does_not_count(client: TurnClient) -> None:
    client.challenge()
    packet = sealed_sha1(plain(ALLOCATE, [UDP_TRANSPORT, *credentials(client)]), key(client))
    behind = plain(0, [(0x7F01, b"12345678")])[20:]
    length = len(packet) - 20 + len(behind)
    answer = client.ask(packet[:2] + length.to_bytes(2, "big") + packet[4:] + behind)
    assert answer.code == 0


@clause("RFC 8489 §14.5", "credentials behind MESSAGE-INTEGRITY are none", ADMISSION)
def test_credentials_behind_the_integrity_are_missing(client: TurnClient) -> None:
    client.challenge()
    packet = sealed_sha1(plain(ALLOCATE, [UDP_TRANSPORT]), key(client))
    behind = plain(0, credentials(client))[20:]
    length = len(packet) - 20 + len(behind)
    answer = client.ask(packet[:2] + length.to_bytes(2, "big") + packet[4:] + behind)
    assert answer.code == 400


@clause("RFC 8489 §14.5", "MESSAGE-INTEGRITY of a wrong length proves nothing", "WRONG_PASSWORD")
@pytest.mark.parametrize("length", [0, 4, 16, 19, 21, 32])
def test_integrity_of_a_wrong_length_is_refused(client: TurnClient, length: int) -> None:
    client.challenge()
    seal = (Attribute.MESSAGE_INTEGRITY, bytes(length))
    answer = client.ask(plain(ALLOCATE, [UDP_TRANSPORT, *credentials(client), seal]))
    assert answer.code in (400, 401)


@clause("RFC 8489 §14.3", "USERNAME has fewer than 509 octets", "MALFORMED_ATTRIBUTE")
@pytest.mark.parametrize("length", [509, 513, 763])
def test_a_username_that_is_too_long_is_a_bad_request(client: TurnClient, length: int) -> None:
    client.challenge()
    client.username = "x" * length
    assert client.allocate().code == 400


@clause("RFC 8489 §14.3", "any UTF-8 can be a username, and one that is unknown is 401", PROOF)
@pytest.mark.parametrize(
    "name", ["a", "x" * 508, "nul\0nul", "a\r\nb", "%n%s", "'\"\\", "é漢字", "../../etc", "a b"]
)
def test_odd_usernames_are_simply_unknown(client: TurnClient, name: str) -> None:
    client.username = name
    assert client.allocate().code == 401


@clause("RFC 8656 §21.3.3", "nor another user from the 5-tuple itself", "WRONG_CREDENTIALS")
@clause(
    "RFC 8656 §5",
    "a request by another user of the 5-tuple's allocation is 441",
    "WRONG_CREDENTIALS",
)
@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_another_user_is_refused(client: TurnClient, subject: Subject, method: Method) -> None:
    assert client.allocate().code == 0
    client.username, client.password = subject.other_account()
    assert client.request(method).code == 441
    client.username, client.password = subject.account()


@clause("RFC 8656 §5", "without an allocation a request is 437", "NO_ALLOCATION")
@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_a_request_without_an_allocation_is_a_mismatch(
    client: TurnClient, peer: Peer, method: Method
) -> None:
    transaction_id = os.urandom(12)
    client.challenge()
    assert client.ask(client.signed(method, (), transaction_id)).code == 437


def credentials(client: TurnClient) -> list[tuple[int, bytes]]:
    return [
        (Attribute.USERNAME, client.username.encode()),
        (Attribute.REALM, client.realm.encode()),
        (Attribute.NONCE, client.nonce),
    ]


def key(client: TurnClient) -> bytes:
    return md5_key(client.username, client.realm, client.password)
