"""Credentials that lie: lengths, repeats, order and names that once broke other servers."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.auth.sources import Keys, SharedSecrets
from ferryman.auth.time_limited import password_for
from ferryman.engine.changes import Reply
from ferryman.engine.credential import Claim
from ferryman.engine.journal import Opened, RefusedRequest
from ferryman.engine.state import Outcome
from ferryman.wire import message as message_module
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_xor_address
from tests.conformance.clause import PROOF, clause
from tests.engine.desk import PASSWORDS, PEER, REALM, UDP_TRANSPORT, Client, Desk

KEY = long_term_key("alice", REALM, PASSWORDS["alice"])


def attribute(number: int, value: bytes) -> bytes:
    return (
        number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)
    )


def followed_by(packet: bytes, *attributes: bytes) -> bytes:
    longer = packet + b"".join(attributes)
    return longer[:2] + (len(longer) - 20).to_bytes(2, "big") + longer[4:]


def unsigned(client: Client, *attributes: tuple[int, bytes]) -> bytes:
    """An Allocate with a name, a realm and a fresh nonce, and no integrity yet."""
    if not client.nonce:
        client.challenge()
    credentials = (
        (Attribute.USERNAME, b"alice"),
        (Attribute.REALM, REALM.encode()),
        (Attribute.NONCE, client.nonce),
    )
    return encode(
        MessageClass.REQUEST,
        Method.ALLOCATE,
        client.transaction_id(),
        (UDP_TRANSPORT, *attributes, *credentials),
    )


def integrity(packet: bytes) -> bytes:
    """MESSAGE-INTEGRITY for a packet that will end with it."""
    counted = packet[:2] + (len(packet) - 20 + 24).to_bytes(2, "big") + packet[4:]
    return hmac.digest(KEY, counted, "sha1")


@pytest.mark.parametrize("length", [0, 1, 4, 19, 21, 24, 32, 64])
def test_an_integrity_of_another_length_is_401(length: int) -> None:
    client = Desk().client()
    packet = unsigned(client)
    value = (integrity(packet) + bytes(64))[:length]
    assert client.send(followed_by(packet, attribute(8, value))).code == 401


def test_of_two_integrities_the_first_counts() -> None:
    client = Desk().client()
    packet = unsigned(client)
    right, wrong = attribute(8, integrity(packet)), attribute(8, bytes(20))
    assert client.send(followed_by(packet, wrong, right)).code == 401
    assert client.send(followed_by(packet, right, wrong)).code == 0


@pytest.mark.parametrize(
    "tail",
    [
        attribute(Attribute.USERNAME, b"bob"),
        attribute(Attribute.NONCE, b"stale"),
        attribute(Attribute.REQUESTED_TRANSPORT, b"\x06\0\0\0"),
        attribute(0x7ABC, b"unknown and required"),
        attribute(Attribute.RESERVATION_TOKEN, bytes(8)),
    ],
)
def test_what_follows_the_integrity_changes_nothing(tail: bytes) -> None:
    client = Desk().client()
    packet = unsigned(client)
    signed = followed_by(packet, attribute(8, integrity(packet)), tail)
    assert client.send(signed).code == 0


def test_a_peer_that_follows_the_integrity_gets_no_permission() -> None:
    client = Desk().client()
    client.allocate()
    identity = client.transaction_id()
    signed = client.signed(Method.CREATE_PERMISSION, transaction_id=identity)
    peer = attribute(Attribute.XOR_PEER_ADDRESS, encode_xor_address(PEER, identity))
    assert client.send(followed_by(signed, peer)).code == 400


@pytest.mark.parametrize("number", [Attribute.USERNAME, Attribute.REALM, Attribute.NONCE])
def test_of_an_attribute_that_is_there_twice_the_first_counts(number: Attribute) -> None:
    client = Desk().client()
    packet = unsigned(client)
    packet = followed_by(packet, attribute(number, b"another"))
    assert client.send(followed_by(packet, attribute(8, integrity(packet)))).code == 0
    before = unsigned(client, (Attribute.USERNAME, b"nobody"))
    assert client.send(followed_by(before, attribute(8, integrity(before)))).code == 401


def test_a_fingerprint_that_is_not_last_makes_no_answer() -> None:
    client = Desk().client()
    packet = unsigned(client)
    signed = followed_by(packet, attribute(8, integrity(packet)))
    marked = encode(MessageClass.REQUEST, Method.ALLOCATE, b"f" * 12, (), fingerprint=True)
    late = followed_by(signed, marked[-8:], attribute(Attribute.SOFTWARE, b"late"))
    assert client.desk.receive(client.five_tuple, late) == Outcome()


def test_a_realm_that_is_not_ours_proves_nothing_by_itself() -> None:
    client = Desk().client()
    client.challenge()
    other = (
        (Attribute.USERNAME, b"alice"),
        (Attribute.REALM, b"x"),
        (Attribute.NONCE, client.nonce),
    )
    key = long_term_key("alice", "x", PASSWORDS["alice"])
    packet = encode(MessageClass.REQUEST, Method.ALLOCATE, b"r" * 12, other, key=key)
    assert client.send(packet).code == 401


# Names. RFC 8489 §14.3: fewer than 509 bytes.

NAMES: dict[str, tuple[bytes, int]] = {
    "0 bytes": (b"", 401),
    "1 byte": (b"a", 401),
    "508 bytes": (b"a" * 508, 401),
    "509 bytes": (b"a" * 509, 400),
    "513 bytes": (b"a" * 513, 400),
    "763 bytes": (b"a" * 763, 400),
    "not UTF-8": (b"\xc3\x28", 400),
    "half a surrogate pair": (b"\xed\xa0\x80", 400),
    "NUL": (b"alice\x00", 401),
    "NUL before": (b"\x00alice", 401),
    "CR and LF": (b"alice\r\nX: y", 401),
    "a format": (b"%n%n%s%p", 401),
    "quotes": (b"alice'\"`\\", 401),
    "SQL": (b"' union select hmackey from turnusers_lt --", 401),
    "slashes and stars": (b"../*/turn/realm", 401),
    "other letters": ("\u0430lice".encode(), 401),
    "right to left": ("\u202ealice".encode(), 401),
    "another case": (b"Alice", 401),
    "a space after": (b"alice ", 401),
    "a prefix": (b"alic", 401),
}


@pytest.mark.parametrize(("name", "code"), NAMES.values(), ids=NAMES.keys())
def test_no_name_but_her_own_is_alice(name: bytes, code: int) -> None:
    client = Desk().client()
    client.challenge()
    sent = ((Attribute.USERNAME, name), (Attribute.REALM, REALM.encode()))
    attributes = (UDP_TRANSPORT, *sent, (Attribute.NONCE, client.nonce))
    for key in (KEY, b"", bytes(16)):
        identity = client.transaction_id()
        packet = encode(MessageClass.REQUEST, Method.ALLOCATE, identity, attributes, key=key)
        answer = client.send(packet)
        assert answer.code == code
        (entry,) = answer.journal
        assert isinstance(entry, RefusedRequest)
        assert entry.username == (name.decode() if code == 401 else "")


@pytest.mark.parametrize("tail", ["", "a", "\x00", "\r\n", "%n%s", "'\"\\", "é", "x" * 400, ":::"])
def test_a_time_limited_name_may_hold_anything_and_is_never_read_as_anything(tail: str) -> None:
    desk = Desk()
    username = f"1900000000:{tail}"
    found = Keys((SharedSecrets(("s",), REALM),)).resolve(Claim(username), unix_time=0)
    assert not isinstance(found, tuple)
    desk.credential = found
    client = desk.client(username=username)
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password=password_for(username, "s"))
    answer = client.send(packet)
    assert answer.code == 0
    (entry,) = answer.journal
    assert isinstance(entry, Opened)
    assert entry.username == username


# Comparing


def test_integrity_and_nonces_are_compared_in_full_and_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    digest: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return digest(one, other)

    monkeypatch.setattr(message_module, "compare_digest", watched)
    monkeypatch.setattr(hmac, "compare_digest", watched)
    client = Desk().client()
    client.allocate()
    packet = encode(MessageClass.REQUEST, Method.ALLOCATE, b"c" * 12, (), sha256_key=KEY)
    assert decode_untrusted(packet).verifies_sha256(KEY)
    assert compared == [(10, 10), (20, 20), (32, 32)]


@clause("RFC 8489 §16.1.1", "nor does the time of an answer tell who has one", PROOF)
@pytest.mark.parametrize("named", ["alice", "nobody"])
def test_an_unknown_name_costs_as_much_as_a_wrong_password(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    compared: list[int] = []

    def watched(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return one == other

    client = Desk().client(username=named)
    packet = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="a guess")
    monkeypatch.setattr(message_module, "compare_digest", watched)
    assert client.send(packet).code == 401
    assert compared == [20]


@pytest.mark.parametrize("kept", range(20))
def test_no_beginning_of_the_right_integrity_is_enough(kept: int) -> None:
    client = Desk().client()
    packet = unsigned(client)
    right = integrity(packet)
    value = right[:kept] + bytes(octet ^ 0xFF for octet in right[kept:])
    answer = client.desk.receive(client.five_tuple, followed_by(packet, attribute(8, value)))
    (reply,) = answer.changes
    assert isinstance(reply, Reply)
    assert decode_untrusted(reply.message).message_class is MessageClass.ERROR
