"""What RFC 8489 §9.2 adds to the long-term mechanism: SHA-256, USERHASH, PASSWORD-ALGORITHMS."""

from __future__ import annotations

import base64
import os

import pytest

from ferryman.wire.registry import Attribute
from tests.answer import Answer
from tests.conformance.clause import ADMISSION, PROOF, clause
from tests.conformance.crafting import (
    md5_key,
    plain,
    sealed_sha1,
    sealed_sha256,
    sha256_key,
    userhash,
    verifies_sha256,
)
from tests.turn_client import UDP_TRANSPORT, TurnClient

ALLOCATE = 0x0003
MD5 = b"\0\1\0\0"
SHA256 = b"\0\2\0\0"
COOKIE = b"obMatJos2"
PASSWORD_ALGORITHMS_BIT = 1 << 23


class Modern:
    """A client that has read RFC 8489: it answers what the 401 offered."""

    def __init__(self, client: TurnClient) -> None:
        self.client = client
        challenge = client.challenge()
        self.offered = challenge.message.first(Attribute.PASSWORD_ALGORITHMS)
        assert self.offered is not None, "the 401 offers no PASSWORD-ALGORITHMS"

    @property
    def who(self) -> tuple[str, str, str]:
        return self.client.username, self.client.realm, self.client.password

    def attributes(
        self,
        *,
        algorithm: bytes | None = SHA256,
        algorithms: bytes | None = None,
        by_hash: bool = False,
    ) -> list[tuple[int, bytes]]:
        name, realm, _ = self.who
        who = (
            (Attribute.USERHASH, userhash(name, realm))
            if by_hash
            else (Attribute.USERNAME, name.encode())
        )
        listed = self.offered if algorithms is None else algorithms
        asked: list[tuple[int, bytes]] = [UDP_TRANSPORT, who, (Attribute.REALM, realm.encode())]
        asked.append((Attribute.NONCE, self.client.nonce))
        if listed:
            asked.append((Attribute.PASSWORD_ALGORITHMS, listed))
        if algorithm is not None:
            asked.append((Attribute.PASSWORD_ALGORITHM, algorithm))
        return asked

    def allocate(self, attributes: list[tuple[int, bytes]], key: bytes) -> Answer:
        return self.client.ask(sealed_sha256(plain(ALLOCATE, attributes), key))


@pytest.fixture
def modern(client: TurnClient) -> Modern:
    return Modern(client)


@clause(
    "RFC 8489 §9.2", "the nonce of a 401 tells the server's features behind its cookie", ADMISSION
)
def test_the_nonce_announces_the_features(modern: Modern) -> None:
    nonce = modern.client.nonce
    assert nonce.startswith(COOKIE)
    features = int.from_bytes(base64.b64decode(nonce[len(COOKIE) :][:4]), "big")
    assert features & PASSWORD_ALGORITHMS_BIT


@clause(
    "RFC 8489 §16.3",
    "a server can replace its hash: it offers several",
    "src/ferryman/engine/offer.py",
)
@clause("RFC 8489 §14.11", "PASSWORD-ALGORITHMS lists SHA-256 and MD5", ADMISSION)
def test_both_algorithms_are_offered(modern: Modern) -> None:
    offered = modern.offered or b""
    assert {offered[at : at + 4] for at in range(0, len(offered), 4)} == {MD5, SHA256}


@clause(
    "RFC 8489 §9.2.2",
    "the key is a hash of username, realm and password",
    "src/ferryman/auth/long_term.py",
)
@clause("RFC 8489 §9.2.4", "a key under SHA-256 is taken when PASSWORD-ALGORITHM says so", PROOF)
def test_a_sha256_password_is_taken(modern: Modern) -> None:
    key = sha256_key(*modern.who)
    answer = modern.allocate(modern.attributes(), key)
    assert answer.code == 0
    assert verifies_sha256(answer.packet, key)
    assert answer.message.first(Attribute.MESSAGE_INTEGRITY) is None


@clause("RFC 8489 §9.2.4", "MD5 may be chosen among the algorithms offered", PROOF)
def test_md5_may_be_chosen(modern: Modern) -> None:
    key = md5_key(*modern.who)
    answer = modern.allocate(modern.attributes(algorithm=MD5), key)
    assert answer.code == 0
    assert verifies_sha256(answer.packet, key)


@clause("RFC 8489 §9.2.2", "of MD5 where no algorithm is named", "src/ferryman/auth/long_term.py")
@clause("RFC 8489 §9.2.4", "without both attributes the algorithm is MD5", PROOF)
def test_without_the_attributes_it_is_md5(modern: Modern) -> None:
    asked = modern.attributes(algorithm=None, algorithms=b"")
    assert modern.allocate(asked, md5_key(*modern.who)).code == 0


@clause("RFC 8489 §9.2.4", "an answer is sealed as its request was", PROOF)
def test_a_sha1_request_has_a_sha1_answer(modern: Modern) -> None:
    key = md5_key(*modern.who)
    asked = modern.attributes(algorithm=None, algorithms=b"")
    answer = modern.client.ask(sealed_sha1(plain(ALLOCATE, asked), key))
    assert answer.code == 0
    assert answer.message.verifies(key)
    assert answer.message.first(Attribute.MESSAGE_INTEGRITY_SHA256) is None


@clause(
    "RFC 8489 §9.2.4",
    "PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS come together or not at all: 400",
    "ALGORITHM_WITHOUT_LIST",
)
@pytest.mark.parametrize(
    ("algorithm", "algorithms"), [(SHA256, b""), (None, None)], ids=["no list", "no choice"]
)
def test_half_of_the_choice_is_a_bad_request(
    modern: Modern, algorithm: bytes | None, algorithms: bytes | None
) -> None:
    asked = modern.attributes(algorithm=algorithm, algorithms=algorithms)
    assert modern.allocate(asked, md5_key(*modern.who)).code == 400


@clause("RFC 8489 §16.1.3", "nor the algorithms", "OTHER_LIST")
@clause("RFC 8489 §9.2.4", "another list than the one that was sent is 400", "OTHER_LIST")
@pytest.mark.parametrize("algorithms", [MD5, MD5 + SHA256 + MD5], ids=["bid down", "longer"])
def test_another_list_is_a_bad_request(modern: Modern, algorithms: bytes) -> None:
    asked = modern.attributes(algorithm=MD5, algorithms=algorithms)
    assert modern.allocate(asked, md5_key(*modern.who)).code == 400


@clause("RFC 8489 §9.2.4", "an algorithm that is not in the list is 400", "ALGORITHM_NOT_OFFERED")
def test_an_algorithm_must_have_been_offered(modern: Modern) -> None:
    asked = modern.attributes(algorithm=b"\0\3\0\0")
    assert modern.allocate(asked, md5_key(*modern.who)).code == 400


@clause(
    "RFC 8489 §9.2.4", "the key must be the one of the algorithm that was named", "WRONG_PASSWORD"
)
def test_a_key_of_the_other_algorithm_is_wrong(modern: Modern) -> None:
    answer = modern.allocate(modern.attributes(), md5_key(*modern.who))
    assert answer.code == 401
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) == modern.offered


@clause("RFC 8489 §9.2.4", "a 438 lists the algorithms again", "STALE_NONCE")
def test_a_stale_nonce_offers_the_algorithms(modern: Modern) -> None:
    modern.client.nonce = modern.client.nonce[:13] + b"AAAAAAAAAAAAAAAAAAAA"
    answer = modern.allocate(modern.attributes(), sha256_key(*modern.who))
    assert answer.code == 438
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) == modern.offered


@clause(
    "RFC 8489 §16.1.3", "the features that the server told of cannot be taken away", "STALE_NONCE"
)
@clause("RFC 8489 §9.2.4", "a cleared feature bit in the nonce is no nonce of ours", "STALE_NONCE")
def test_a_nonce_with_the_features_cleared_is_stale(modern: Modern) -> None:
    nonce = modern.client.nonce
    modern.client.nonce = nonce[:9] + b"AAAA" + nonce[13:]
    asked = modern.attributes(algorithm=None, algorithms=b"")
    assert modern.allocate(asked, md5_key(*modern.who)).code == 438


@clause("RFC 8489 §9.2.4", "USERHASH stands in for USERNAME", PROOF)
def test_a_userhash_names_the_user(modern: Modern) -> None:
    answer = modern.allocate(modern.attributes(by_hash=True), sha256_key(*modern.who))
    assert answer.code == 0


@clause("RFC 8489 §9.2.4", "an unknown USERHASH is 401", "UNKNOWN_USER")
def test_an_unknown_userhash_is_unauthenticated(modern: Modern) -> None:
    asked = modern.attributes(by_hash=True)
    asked = [(n, os.urandom(32) if n == Attribute.USERHASH else v) for n, v in asked]
    assert modern.allocate(asked, sha256_key(*modern.who)).code == 401


@clause("RFC 8489 §14.4", "USERHASH has 32 octets", "MALFORMED_ATTRIBUTE")
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_userhash_of_another_length_is_refused(modern: Modern, length: int) -> None:
    asked = modern.attributes(by_hash=True)
    asked = [(n, bytes(length) if n == Attribute.USERHASH else v) for n, v in asked]
    assert modern.allocate(asked, sha256_key(*modern.who)).code in (400, 401)


@clause(
    "RFC 8489 §14.6", "TURN allows no truncation: MESSAGE-INTEGRITY-SHA256 has 32 octets", PROOF
)
@pytest.mark.parametrize("length", [0, 4, 16, 20, 28])
def test_a_truncated_sha256_is_refused(modern: Modern, length: int) -> None:
    key = sha256_key(*modern.who)
    packet = sealed_sha256(plain(ALLOCATE, modern.attributes()), key, length=length)
    assert modern.client.ask(packet).code in (400, 401)


@clause("RFC 8489 §9.2.4", "where both seals are there, the stronger one must be right", PROOF)
def test_a_good_sha1_does_not_excuse_a_bad_sha256(modern: Modern) -> None:
    key = md5_key(*modern.who)
    asked = modern.attributes(algorithm=MD5)
    packet = sealed_sha256(sealed_sha1(plain(ALLOCATE, asked), key), b"another key")
    assert modern.client.ask(packet).code == 401
