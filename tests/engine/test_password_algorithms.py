"""RFC 8489 §9.2.4, row by row: SHA-256, hashed names, and what keeps both from being bid down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from ferryman.auth.long_term import hashed_name, long_term_key
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.nonce import Issued, Nonces
from ferryman.engine.offer import Offer
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method, PasswordAlgorithm
from tests.conformance.clause import clause
from tests.engine.desk import OLD_USER, PASSWORDS, REALM, UDP_TRANSPORT, Client, Decided, Desk

MD5, SHA256 = PasswordAlgorithm.MD5, PasswordAlgorithm.SHA256
NAMED = {MD5: bytes.fromhex("00010000"), SHA256: bytes.fromhex("00020000")}
LIST = bytes.fromhex("0002000000010000")
MD5_LIST = bytes.fromhex("00010000")
PASSWORD = {**PASSWORDS, OLD_USER: "sesame"}


@dataclass
class Speech:
    """How a client of RFC 8489 signs an Allocate; every part can be left out or made wrong."""

    username: str = "alice"
    algorithm: PasswordAlgorithm = SHA256
    integrity: bool = False
    sha256: bool = True
    userhash: bool = False
    attributes: Mapping[int, bytes | None] = field(default_factory=dict)

    def packet(self, client: Client, transaction_id: bytes | None = None) -> bytes:
        if not client.nonce:
            client.challenge()
        name: tuple[int, bytes] = (Attribute.USERNAME, self.username.encode())
        if self.userhash:
            name = (Attribute.USERHASH, hashed_name(self.username, REALM))
        credentials: dict[int, bytes | None] = {
            **dict((name,)),
            Attribute.REALM: REALM.encode(),
            Attribute.NONCE: client.nonce,
            Attribute.PASSWORD_ALGORITHMS: LIST,
            Attribute.PASSWORD_ALGORITHM: NAMED[self.algorithm],
            **self.attributes,
        }
        key = long_term_key(self.username, REALM, PASSWORD[self.username], self.algorithm)
        return encode(
            MessageClass.REQUEST,
            Method.ALLOCATE,
            transaction_id or client.transaction_id(),
            [
                UDP_TRANSPORT,
                *((number, value) for number, value in credentials.items() if value is not None),
            ],
            key=key if self.integrity else None,
            sha256_key=key if self.sha256 else None,
        )

    def to(self, client: Client) -> Decided:
        return client.send(self.packet(client))


def refusal_of(answer: Decided) -> Refusal:
    (entry,) = answer.journal
    assert isinstance(entry, RefusedRequest)
    return entry.refusal


def integrity_of(answer: Decided) -> list[int]:
    both = (Attribute.MESSAGE_INTEGRITY, Attribute.MESSAGE_INTEGRITY_SHA256)
    return [number for number in both if answer.message.first(number) is not None]


# What strangers are shown


def test_a_challenge_lists_the_algorithms_and_says_so_in_the_nonce() -> None:
    client = Desk().client()
    answer = client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) == LIST
    nonce = answer.message.first(Attribute.NONCE)
    assert nonce is not None
    # gAAA: bit 0 of 24, "Password algorithms", alone.
    assert nonce.startswith(b"obMatJos2gAAA")
    assert integrity_of(answer) == []
    assert answer.message.first(Attribute.USERNAME) is None
    assert answer.message.first(Attribute.USERHASH) is None


@clause(
    "RFC 8489 §9.2",
    "the nonce asks for USERHASH where every name can be found by it",
    "src/ferryman/engine/nonce.py",
)
def test_where_every_name_can_be_looked_up_by_its_hash_the_nonce_says_so() -> None:
    # wAAA: bits 0 and 1.
    five_tuple = Desk().client().five_tuple
    nonce = Nonces(b"s", 600, anonymous_usernames=True).issue(five_tuple, now=0)
    assert nonce.startswith(b"obMatJos2wAAA")


@pytest.mark.parametrize("speech", [Speech(username="bob", attributes={Attribute.USERNAME: b"x"})])
def test_an_unknown_name_is_401_with_realm_nonce_and_algorithms(speech: Speech) -> None:
    answer = speech.to(Desk().client())
    assert (answer.code, refusal_of(answer)) == (401, Refusal.UNKNOWN_USER)
    for attribute in (Attribute.REALM, Attribute.NONCE, Attribute.PASSWORD_ALGORITHMS):
        assert answer.message.first(attribute)
    assert integrity_of(answer) == []


def test_a_stale_nonce_is_438_with_realm_nonce_and_algorithms() -> None:
    desk = Desk()
    client = desk.client()
    client.challenge()
    desk.pass_seconds(601)
    answer = Speech().to(client)
    assert answer.code == 438
    for attribute in (Attribute.REALM, Attribute.NONCE, Attribute.PASSWORD_ALGORITHMS):
        assert answer.message.first(attribute)
    assert answer.message.first(Attribute.USERNAME) is None


# What is accepted, and how the answer is protected

SHA1_ANSWER, SHA256_ANSWER = (
    [Attribute.MESSAGE_INTEGRITY],
    [Attribute.MESSAGE_INTEGRITY_SHA256],
)
NOT_NAMED: dict[int, bytes | None] = {
    Attribute.PASSWORD_ALGORITHM: None,
    Attribute.PASSWORD_ALGORITHMS: None,
}

ACCEPTED = {
    "SHA-256 key": (Speech(), SHA256_ANSWER),
    "MD5 key, named": (Speech(algorithm=MD5), SHA256_ANSWER),
    "hashed name": (Speech(userhash=True), SHA256_ANSWER),
    "hashed name, MD5 key": (Speech(algorithm=MD5, userhash=True), SHA256_ANSWER),
    "both integrity attributes": (Speech(integrity=True), SHA256_ANSWER),
    "SHA-256 key with SHA-1 integrity": (Speech(integrity=True, sha256=False), SHA256_ANSWER),
    # RFC 8489 §9.2.4: neither attribute is processed as though PASSWORD-ALGORITHM were MD5, and
    # answered with MESSAGE-INTEGRITY.
    "as RFC 5389": (
        Speech(algorithm=MD5, integrity=True, sha256=False, attributes=NOT_NAMED),
        SHA1_ANSWER,
    ),
    "as RFC 5389, with a hashed name": (
        Speech(algorithm=MD5, integrity=True, sha256=False, userhash=True, attributes=NOT_NAMED),
        SHA1_ANSWER,
    ),
    "no algorithm named, stronger integrity": (
        Speech(algorithm=MD5, attributes=NOT_NAMED),
        SHA1_ANSWER,
    ),
    "a user with an MD5 key, as RFC 5389": (
        Speech(OLD_USER, MD5, integrity=True, sha256=False, attributes=NOT_NAMED),
        SHA1_ANSWER,
    ),
    "a user with an MD5 key who names MD5": (Speech(OLD_USER, MD5), SHA256_ANSWER),
}


@pytest.mark.parametrize(("speech", "protected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_whoever_holds_the_password_gets_an_answer_that_proves_it_back(
    speech: Speech, protected: list[int]
) -> None:
    answer = speech.to(Desk().client())
    assert answer.code == 0
    assert integrity_of(answer) == protected
    key = long_term_key(speech.username, REALM, PASSWORD[speech.username], speech.algorithm)
    message = answer.message
    assert message.verifies_sha256(key) if message.has_sha256 else message.verifies(key)
    for attribute in (Attribute.REALM, Attribute.NONCE, Attribute.USERNAME, Attribute.USERHASH):
        assert message.first(attribute) is None


def test_errors_after_the_proof_are_protected_in_the_same_way() -> None:
    client = Desk().client()
    Speech().to(client)
    again = Speech().to(client)
    assert again.code == 437
    assert integrity_of(again) == SHA256_ANSWER


def test_a_hashed_name_and_the_name_itself_own_the_same_allocation() -> None:
    client = Desk().client()
    assert Speech(userhash=True).to(client).code == 0
    assert client.refresh(0).code == 0


# What is refused before any key is looked up

REFUSED_400 = {
    "no USERNAME and no USERHASH": (
        {Attribute.USERNAME: None},
        Refusal.INCOMPLETE_CREDENTIALS,
    ),
    "no REALM": ({Attribute.REALM: None}, Refusal.INCOMPLETE_CREDENTIALS),
    "no NONCE": ({Attribute.NONCE: None}, Refusal.INCOMPLETE_CREDENTIALS),
    "the list is missing": (
        {Attribute.PASSWORD_ALGORITHMS: None},
        Refusal.ALGORITHM_WITHOUT_LIST,
    ),
    "the algorithm is missing": (
        {Attribute.PASSWORD_ALGORITHM: None},
        Refusal.ALGORITHM_WITHOUT_LIST,
    ),
    "the list was cut down": ({Attribute.PASSWORD_ALGORITHMS: MD5_LIST}, Refusal.OTHER_LIST),
    "the list was turned round": (
        {Attribute.PASSWORD_ALGORITHMS: LIST[4:] + LIST[:4]},
        Refusal.OTHER_LIST,
    ),
    "the list grew": ({Attribute.PASSWORD_ALGORITHMS: LIST + LIST[:4]}, Refusal.OTHER_LIST),
    "an empty list": ({Attribute.PASSWORD_ALGORITHMS: b""}, Refusal.OTHER_LIST),
    "an algorithm that nobody offered": (
        {Attribute.PASSWORD_ALGORITHM: bytes.fromhex("00030000")},
        Refusal.ALGORITHM_NOT_OFFERED,
    ),
    "an algorithm with parameters": (
        {Attribute.PASSWORD_ALGORITHM: bytes.fromhex("0002000400000000")},
        Refusal.ALGORITHM_NOT_OFFERED,
    ),
    "an empty algorithm": ({Attribute.PASSWORD_ALGORITHM: b""}, Refusal.ALGORITHM_NOT_OFFERED),
    "a short USERHASH": (
        {Attribute.USERNAME: None, Attribute.USERHASH: bytes(31)},
        Refusal.MALFORMED_ATTRIBUTE,
    ),
    "a long USERHASH": (
        {Attribute.USERNAME: None, Attribute.USERHASH: bytes(33)},
        Refusal.MALFORMED_ATTRIBUTE,
    ),
}


@pytest.mark.parametrize(("changed", "refusal"), REFUSED_400.values(), ids=REFUSED_400.keys())
def test_what_is_missing_or_was_tampered_with_is_400(
    changed: dict[int, bytes | None], refusal: Refusal
) -> None:
    answer = Speech(attributes=changed).to(Desk().client())
    assert (answer.code, refusal_of(answer)) == (400, refusal)
    assert [number for number, _ in answer.message.attributes] == [Attribute.ERROR_CODE]


def test_the_algorithms_are_judged_before_the_name_the_password_and_the_age_of_the_nonce() -> None:
    desk = Desk()
    client = desk.client()
    client.challenge()
    desk.pass_seconds(601)
    tampered: dict[int, bytes | None] = {
        Attribute.PASSWORD_ALGORITHMS: MD5_LIST,
        Attribute.USERNAME: b"nobody",
    }
    assert Speech(attributes=tampered).to(client).code == 400


def test_a_nonce_that_is_not_ours_is_stale_before_anything_else_is_said_about_it() -> None:
    client = Desk().client()
    client.challenge()
    changed: dict[int, bytes | None] = {
        Attribute.NONCE: client.nonce[:-1] + b"*",
        Attribute.PASSWORD_ALGORITHMS: MD5_LIST,
    }
    assert Speech(attributes=changed).to(client).code == 438


@pytest.mark.parametrize(
    "speech",
    [
        Speech(username="nobody", attributes={Attribute.USERNAME: b"nobody"}),
        Speech(attributes={Attribute.USERNAME: None, Attribute.USERHASH: bytes(32)}),
    ],
)
def test_a_hash_or_a_name_of_nobody_is_401(speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PASSWORD, "nobody", "x")
    answer = speech.to(Desk().client())
    assert (answer.code, refusal_of(answer)) == (401, Refusal.UNKNOWN_USER)


WRONG = {
    "SHA-1 integrity made with the MD5 key": Speech(algorithm=MD5, integrity=True, sha256=False),
    "SHA-256 integrity made with the MD5 key": Speech(algorithm=MD5),
}


@pytest.mark.parametrize("speech", WRONG.values(), ids=WRONG.keys())
def test_a_key_of_another_algorithm_than_the_one_named_is_401(speech: Speech) -> None:
    named = Speech(
        algorithm=speech.algorithm,
        integrity=speech.integrity,
        sha256=speech.sha256,
        attributes={Attribute.PASSWORD_ALGORITHM: NAMED[SHA256]},
    )
    answer = named.to(Desk().client())
    assert (answer.code, refusal_of(answer)) == (401, Refusal.WRONG_PASSWORD)


def test_where_both_integrity_attributes_are_there_the_stronger_one_counts() -> None:
    client = Desk().client()
    packet = bytearray(Speech(integrity=True).packet(client))
    packet[-36 - 10] ^= 1  # in MESSAGE-INTEGRITY, which the other one covers
    assert client.send(bytes(packet)).code == 401
    packet = bytearray(Speech(integrity=True).packet(client))
    packet[-1] ^= 1
    assert client.send(bytes(packet)).code == 401


@pytest.mark.parametrize("length", [0, 4, 12, 15, 16, 17, 20, 28, 31, 36])
def test_a_shortened_integrity_is_refused_for_turn_does_not_allow_it(length: int) -> None:
    # RFC 8489 §14.6: 32 bytes, unless the usage says otherwise, and RFC 8656 does not.
    client = Desk().client()
    full = Speech().packet(client)
    value = (full[-32:] + bytes(4))[:length]
    attribute = bytes.fromhex("001c") + length.to_bytes(2, "big") + value + bytes(-length % 4)
    packet = full[:-36] + attribute
    packet = packet[:2] + (len(packet) - 20).to_bytes(2, "big") + packet[4:]
    assert client.send(packet).code == 401


# A user of whom there is only an MD5 key


@clause("RFC 8489 §9.2.4", "a user of whom there is an MD5 key alone is led to it", "MD5_KEY_ONLY")
def test_sha256_for_a_user_with_an_md5_key_is_438_with_a_list_of_md5_alone() -> None:
    client = Desk().client()
    answer = Speech(OLD_USER).to(client)
    assert (answer.code, refusal_of(answer)) == (438, Refusal.MD5_KEY_ONLY)
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) == MD5_LIST
    nonce = answer.message.first(Attribute.NONCE)
    assert nonce is not None
    client.nonce = nonce
    again = Speech(OLD_USER, MD5, attributes={Attribute.PASSWORD_ALGORITHMS: MD5_LIST}).to(client)
    assert again.code == 0
    assert again.message.verifies_sha256(long_term_key(OLD_USER, REALM, "sesame"))


def nonce_with_md5_alone(client: Client) -> bytes:
    nonce = Speech(OLD_USER).to(client).message.first(Attribute.NONCE)
    assert nonce is not None
    return nonce


@clause(
    "RFC 8489 §9.2.1",
    "a nonce that was issued with less is of no use to who can have more",
    "BID_DOWN",
)
def test_a_nonce_with_md5_alone_bids_nobody_else_down() -> None:
    # Somebody on the path can have such a nonce made for a client, and show it to that client.
    client = Desk().client()
    client.nonce = nonce_with_md5_alone(client)
    answer = Speech(algorithm=MD5, attributes={Attribute.PASSWORD_ALGORITHMS: MD5_LIST}).to(client)
    assert (answer.code, refusal_of(answer)) == (438, Refusal.BID_DOWN)
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) == LIST
    as_5389 = Speech(algorithm=MD5, integrity=True, sha256=False, attributes=NOT_NAMED)
    assert as_5389.to(client).code == 438


def test_a_nonce_with_md5_alone_goes_with_no_other_list() -> None:
    client = Desk().client()
    client.nonce = nonce_with_md5_alone(client)
    answer = Speech(OLD_USER, MD5).to(client)
    assert (answer.code, refusal_of(answer)) == (400, Refusal.OTHER_LIST)
    listed = Speech(OLD_USER, attributes={Attribute.PASSWORD_ALGORITHMS: MD5_LIST})
    answer = listed.to(client)
    assert (answer.code, refusal_of(answer)) == (400, Refusal.ALGORITHM_NOT_OFFERED)


def test_the_next_nonce_of_such_a_user_comes_with_the_same_list() -> None:
    desk = Desk()
    client = desk.client()
    client.nonce = nonce_with_md5_alone(client)
    desk.pass_seconds(601)
    listed = Speech(OLD_USER, MD5, attributes={Attribute.PASSWORD_ALGORITHMS: MD5_LIST})
    answer = listed.to(client)
    assert answer.code == 438
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) == MD5_LIST


# Nonces


def other_features(nonce: bytes) -> bytes:
    return nonce[:9] + b"AAAA" + nonce[13:]


TAMPERED: dict[str, Callable[[bytes], bytes]] = {
    "the bits of the cookie are cleared": other_features,
    "the cookie is cut off": lambda nonce: nonce[13:],
    "one character is another": lambda nonce: nonce[:20] + bytes((nonce[20] ^ 1,)) + nonce[21:],
    "longer": lambda nonce: nonce + b"A",
    "shorter": lambda nonce: nonce[:-1],
    "no base64": lambda nonce: nonce[:13] + b"*" * 19,
    "not ASCII": lambda nonce: nonce[:13] + b"\xff" * 19,
    "the cookie alone": lambda nonce: nonce[:13],
    "empty": lambda nonce: b"",
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_a_nonce_that_was_changed_on_the_way_is_438_and_never_less_protection(
    tamper: Callable[[bytes], bytes],
) -> None:
    client = Desk().client()
    client.challenge()
    changed = {**NOT_NAMED, Attribute.NONCE: tamper(client.nonce)}
    speech = Speech(algorithm=MD5, integrity=True, sha256=False, attributes=changed)
    assert speech.to(client).code == 438


@pytest.mark.parametrize("offer", Offer)
def test_a_nonce_says_what_it_was_issued_with_and_to_whom(offer: Offer) -> None:
    nonces = Nonces(b"s", 600)
    here, there = (Desk().client(port).five_tuple for port in (1, 2))
    nonce = nonces.issue(here, offer, now=1_000 * SECOND)
    assert len(nonce) == 32
    assert nonces.read_untrusted(nonce, here, now=1_599 * SECOND) == Issued(offer, True)
    assert nonces.read_untrusted(nonce, here, now=1_600 * SECOND) == Issued(offer, False)
    assert nonces.read_untrusted(nonce, there, now=1_000 * SECOND) is None


def test_a_decoy_is_never_a_nonce() -> None:
    nonces = Nonces(b"s", 0)
    five_tuple: FiveTuple = Desk().client().five_tuple
    decoy = nonces.decoy(five_tuple, now=0)
    assert len(decoy) == 8
    assert nonces.read_untrusted(decoy, five_tuple, now=0) is None
    assert decoy != nonces.decoy(Desk().client(41_000).five_tuple, now=0)
