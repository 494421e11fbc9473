"""Who is asking: RFC 8489 §9.2.4, row by row, before any key is looked up and after."""

from __future__ import annotations

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.engine.admission import METHODS
from ferryman.engine.credential import Credential, NoCredential
from ferryman.engine.decision import _RULES
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import Challenged, RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import Settings
from ferryman.engine.state import Outcome
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_types
from tests.conformance.clause import clause
from tests.engine.desk import PASSWORDS, REALM, UDP_TRANSPORT, Desk

REQUESTS = (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND)
ALICE_KEY = long_term_key("alice", REALM, PASSWORDS["alice"])


@pytest.mark.parametrize("method", REQUESTS)
def test_a_request_without_integrity_is_shown_realm_and_nonce(method: Method) -> None:
    desk = Desk()
    client = desk.client()
    answer = client.send(client.plain(method, (UDP_TRANSPORT,)))
    assert answer.code == 401
    assert answer.message.first(Attribute.REALM) == REALM.encode()
    assert answer.message.first(Attribute.NONCE)
    assert answer.message.first(Attribute.MESSAGE_INTEGRITY) is None
    assert isinstance(answer.journal[0], Challenged)
    assert not answer.changes


def test_a_challenge_leaves_nothing_behind() -> None:
    desk = Desk()
    for port in range(1024, 2024):
        client = desk.client(port)
        client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    assert len(desk.state.allocations) == 0
    assert len(desk.state.answered) == 0
    assert len(desk.state.reservations) == 0
    assert not desk.state.closing


def test_a_challenge_is_at_most_four_times_the_request() -> None:
    client = Desk().client()
    request = client.plain(Method.ALLOCATE)
    assert len(client.send(request).packet) <= 4 * len(request)


@pytest.mark.parametrize("missing", [Attribute.USERNAME, Attribute.REALM, Attribute.NONCE])
def test_integrity_without_username_realm_or_nonce_is_400(missing: Attribute) -> None:
    client = Desk().client()
    client.challenge()
    credentials = {
        Attribute.USERNAME: b"alice",
        Attribute.REALM: REALM.encode(),
        Attribute.NONCE: client.nonce,
    }
    del credentials[missing]
    packet = encode(
        MessageClass.REQUEST, Method.ALLOCATE, b"t" * 12, credentials.items(), key=ALICE_KEY
    )
    answer = client.send(packet)
    assert answer.code == 400
    assert answer.message.first(Attribute.MESSAGE_INTEGRITY) is None


def test_credentials_after_the_integrity_do_not_count() -> None:
    client = Desk().client()
    client.challenge()
    inside = ((Attribute.REALM, REALM.encode()), (Attribute.NONCE, client.nonce))
    signed = encode(MessageClass.REQUEST, Method.ALLOCATE, b"t" * 12, inside, key=ALICE_KEY)
    tail = b"\x00\x06\x00\x05alice\x00\x00\x00"
    longer = signed[:2] + (len(signed) - 20 + len(tail)).to_bytes(2, "big") + signed[4:] + tail
    assert client.send(longer).code == 400


def test_a_nonce_that_was_never_issued_is_438_with_a_fresh_one() -> None:
    client = Desk().client()
    client.challenge()
    client.nonce = b"A" * 20
    answer = client.allocate()
    assert answer.code == 438
    fresh = answer.message.first(Attribute.NONCE)
    assert fresh is not None
    client.nonce = fresh
    assert client.allocate().code == 0


@clause("RFC 8489 §9.2.4", "a nonce that has expired is 438", "STALE_NONCE")
def test_a_nonce_goes_stale_after_its_lifetime_and_not_before() -> None:
    desk = Desk(nonce_lifetime=60)
    client = desk.client()
    client.challenge()
    desk.pass_seconds(59)
    assert client.refresh().code == 437
    desk.pass_seconds(1)
    assert client.refresh().code == 438


def test_a_nonce_of_lifetime_zero_never_goes_stale() -> None:
    desk = Desk(nonce_lifetime=0)
    client = desk.client()
    client.challenge()
    desk.pass_seconds(1_000_000)
    assert client.refresh().code == 437


def test_a_nonce_serves_only_the_client_that_it_was_given_to() -> None:
    desk = Desk()
    alice, stranger = desk.client(40_000), desk.client(40_001)
    alice.challenge()
    stranger.nonce = alice.nonce
    assert stranger.allocate().code == 438


def test_the_nonce_is_checked_before_the_password() -> None:
    client = Desk().client(username="nobody")
    client.nonce = b"stale"
    assert client.allocate().code == 438


@pytest.mark.parametrize("username", ["nobody", "", "alice\x00", "ALICE"])
def test_an_unknown_username_is_401_with_a_challenge(username: str) -> None:
    answer = Desk().client(username=username).allocate()
    assert answer.code == 401
    assert answer.message.first(Attribute.NONCE)
    assert isinstance(answer.journal[0], RefusedRequest)
    assert answer.journal[0].refusal is Refusal.UNKNOWN_USER


def test_a_wrong_password_is_401_and_names_the_user_in_the_journal() -> None:
    client = Desk().client()
    answer = client.send(client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="wrong"))
    assert answer.code == 401
    assert answer.message.first(Attribute.MESSAGE_INTEGRITY) is None
    entry = answer.journal[0]
    assert isinstance(entry, RefusedRequest)
    assert (entry.refusal, entry.username) == (Refusal.WRONG_PASSWORD, "alice")


def test_the_next_request_after_a_wrong_password_is_answered() -> None:
    client = Desk().client()
    client.send(client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="wrong"))
    assert client.allocate().code == 0


def test_every_key_of_a_rotation_is_tried_and_signs_the_answer() -> None:
    desk = Desk()
    client = desk.client()
    old, new = long_term_key("alice", REALM, "old"), long_term_key("alice", REALM, "sesame")
    desk.credential = Credential("alice", "alice", (old, new))
    answer = client.allocate()
    assert answer.code == 0
    assert answer.message.verifies(new)


@clause(
    "draft-uberti-behave-turn-rest-00 §2.2",
    "also when it would refresh what it has",
    "UNKNOWN_USER",
)
def test_a_credential_that_expires_is_refused_at_the_next_refresh() -> None:
    desk = Desk()
    client = desk.client()
    assert client.allocate().code == 0
    desk.credential = NoCredential("expired 3 s ago")
    answer = client.refresh()
    assert answer.code == 401
    entry = answer.journal[0]
    assert isinstance(entry, RefusedRequest)
    assert "expired" in entry.detail


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_credential_that_has_expired_is_refused_whatever_is_asked(method: Method) -> None:
    desk = Desk()
    client = desk.client(transport=Transport.TCP)
    assert client.allocate().code == 0
    desk.credential = NoCredential("expired 3 s ago")
    assert client.request(method).code == 401


@pytest.mark.parametrize("username", [b"x" * 509, b"\xff\xfe"])
def test_a_username_that_is_too_long_or_not_utf_8_is_400(username: bytes) -> None:
    client = Desk().client()
    client.challenge()
    attributes = (
        (Attribute.USERNAME, username),
        (Attribute.REALM, REALM.encode()),
        (Attribute.NONCE, client.nonce),
    )
    packet = encode(MessageClass.REQUEST, Method.ALLOCATE, b"t" * 12, attributes, key=b"k")
    assert client.send(packet).code == 400


def test_success_and_error_answers_are_signed_once_the_key_is_proved() -> None:
    client = Desk().client()
    assert client.allocate().message.verifies(ALICE_KEY)
    again = client.allocate()
    assert again.code == 437
    assert again.message.verifies(ALICE_KEY)


def test_an_unknown_required_attribute_is_420_and_named() -> None:
    client = Desk().client()
    answer = client.allocate((0x7ABC, b"odd"), (0x7ABD, b""), (0x8ABC, b"optional"))
    assert answer.code == 420
    assert answer.message.first(Attribute.UNKNOWN_ATTRIBUTES) == encode_types([0x7ABC, 0x7ABD])


def test_dont_fragment_in_an_allocate_finds_that_the_server_knows_it() -> None:
    answer = Desk().client().allocate((Attribute.DONT_FRAGMENT, b""))
    assert answer.code == 0


def test_fingerprint_is_mirrored_or_always_there_when_asked_for() -> None:
    client = Desk().client()
    plain = client.plain(Method.ALLOCATE)
    with_print = encode(MessageClass.REQUEST, Method.ALLOCATE, b"f" * 12, (), fingerprint=True)
    assert not client.send(plain).message.has_fingerprint
    assert client.send(with_print).message.has_fingerprint
    always = Desk(Settings(realm=REALM, fingerprint=True)).client()
    assert always.send(always.plain(Method.ALLOCATE)).message.has_fingerprint


def test_without_authentication_anyone_allocates_and_nothing_is_signed() -> None:
    client = Desk(Settings(realm=REALM, authenticated=False)).client()
    answer = client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    assert answer.code == 0
    assert answer.message.first(Attribute.MESSAGE_INTEGRITY) is None


SILENCE = {
    "empty": b"",
    "half a header": b"\x00\x03\x00\x00\x21\x12",
    "no cookie": encode(MessageClass.REQUEST, Method.ALLOCATE, b"t" * 12, ())[:4] + b"\0" * 16,
    "an indication": encode(MessageClass.INDICATION, Method.ALLOCATE, b"t" * 12, ()),
    "a response": encode(MessageClass.SUCCESS, Method.ALLOCATE, b"t" * 12, ()),
    "an unknown method": encode(MessageClass.REQUEST, 0x0AB, b"t" * 12, ()),
    "a wrong fingerprint": encode(
        MessageClass.REQUEST, Method.ALLOCATE, b"t" * 12, (), fingerprint=True
    )[:-1]
    + b"\x00",
}


@pytest.mark.parametrize("packet", SILENCE.values(), ids=SILENCE.keys())
def test_what_is_no_request_of_ours_gets_no_answer(packet: bytes) -> None:
    desk = Desk()
    outcome = desk.receive(desk.client().five_tuple, packet)
    assert outcome == Outcome()


@pytest.mark.parametrize("transport", Transport)
def test_clients_are_admitted_over_every_transport(transport: Transport) -> None:
    desk = Desk()
    client = desk.client()
    client.five_tuple = FiveTuple(transport, *client.five_tuple[1:3], 7)
    assert client.allocate().code == 0


def test_every_method_that_is_admitted_has_its_rules() -> None:
    assert set(_RULES) == METHODS
