"""What strangers get over UDP: four times what they sent at most, and no more than is asked for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.engine.changes import Reply
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import Silence, Unanswered
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.state import Outcome
from ferryman.engine.strangers import BURST_SECONDS, Strangers, shortest_challenge
from ferryman.wire.address import Address
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_family, encode_password_algorithms
from tests.engine.desk import REALM, SERVER, UDP_TRANSPORT, Client, Desk

METHODS = [Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND]
REALMS = [1, 12, 13, 24, 25, 32, 33, 36, 37, 60, 61, 68, 69, 100, 127]
USERNAME = (Attribute.USERNAME, b"u")
NONCE = (Attribute.NONCE, b"n")
REALM_SENT = (Attribute.REALM, b"r")
LIST = (Attribute.PASSWORD_ALGORITHMS, encode_password_algorithms((2, 1)))
NAMED = (Attribute.PASSWORD_ALGORITHM, encode_password_algorithms((2,)))

SHAPES: dict[str, tuple[tuple[int, bytes], ...]] = {
    "bare": (),
    "as browsers ask": (UDP_TRANSPORT,),
    "unknown required attributes": tuple((0x7F00 + number, b"") for number in range(40)),
    "one unknown required attribute": ((0x7F00, b""),),
    "an even port and its neighbour": (UDP_TRANSPORT, (Attribute.EVEN_PORT, b"\x80")),
    "two families": (UDP_TRANSPORT, (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(2))),
    "a family that is none": (UDP_TRANSPORT, (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x07\0\0\0")),
    "no integrity at all": (USERNAME, REALM_SENT, NONCE, LIST, NAMED),
    "a transport that is none": ((Attribute.REQUESTED_TRANSPORT, b"\x84\0\0\0"),),
    "a channel number alone": ((Attribute.CHANNEL_NUMBER, b"\x40\0\0\0"),),
    "an empty integrity": ((Attribute.MESSAGE_INTEGRITY, b""),),
    "an empty SHA-256 integrity": ((Attribute.MESSAGE_INTEGRITY_SHA256, b""),),
    "empty credentials": (
        (Attribute.USERNAME, b""),
        (Attribute.REALM, b""),
        (Attribute.NONCE, b""),
        (Attribute.MESSAGE_INTEGRITY, b""),
    ),
    "an empty hash": (
        (Attribute.USERHASH, b""),
        (Attribute.REALM, b""),
        (Attribute.NONCE, b""),
        (Attribute.MESSAGE_INTEGRITY, b""),
    ),
}


def answers(outcome: Outcome) -> list[bytes]:
    return [change.message for change in outcome.changes if isinstance(change, Reply)]


@pytest.mark.parametrize("authenticated", [True, False], ids=["credentials", "no-auth"])
@pytest.mark.parametrize("host", ["203.0.113.9", "2001:db8::9"], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("method", METHODS)
def test_no_stranger_gets_more_than_four_times_what_it_sent(
    method: Method, shape: tuple[tuple[int, bytes], ...], host: str, authenticated: bool
) -> None:
    for length, always, asked in itertools.product(REALMS, (False, True), (False, True)):
        settings = Settings(realm="r" * length, authenticated=authenticated, fingerprint=always)
        desk = Desk(settings)
        packet = encode(MessageClass.REQUEST, method, b"t" * 12, shape, fingerprint=asked)
        for _ in range(2):
            for answer in answers(desk.receive(desk.client(host=host).five_tuple, packet)):
                assert len(answer) <= 4 * len(packet), (length, always, asked)


@given(
    st.sampled_from(METHODS),
    st.lists(st.tuples(st.sampled_from([int(one) for one in Attribute]), st.binary(max_size=8))),
    st.integers(1, 127),
)
def test_no_attributes_at_all_make_an_answer_longer(
    method: Method, attributes: list[tuple[int, bytes]], realm: int
) -> None:
    desk = Desk(Settings(realm="r" * realm))
    packet = encode(MessageClass.REQUEST, method, b"t" * 12, attributes)
    for answer in answers(desk.receive(desk.client().five_tuple, packet)):
        assert len(answer) <= 4 * len(packet)


def client_of(realm: str, transport: Transport = Transport.UDP) -> Client:
    client = Desk(Settings(realm=realm)).client()
    client.five_tuple = FiveTuple(transport, *client.five_tuple[1:])
    return client


@pytest.mark.parametrize(
    ("length", "listed", "nonce"),
    [(1, True, 32), (32, True, 32), (33, False, 8), (68, False, 8)],
)
def test_a_long_realm_leaves_less_room_for_the_rest(length: int, listed: bool, nonce: int) -> None:
    client = client_of("r" * length)
    answer = client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    assert answer.code == 401
    assert (answer.message.first(Attribute.PASSWORD_ALGORITHMS) is not None) is listed
    assert len(answer.message.first(Attribute.NONCE) or b"") == nonce
    assert answer.message.first(Attribute.REALM) == b"r" * length


def test_a_realm_that_does_not_fit_at_all_gets_no_answer_and_an_entry() -> None:
    client = client_of("r" * 69)
    packet = client.plain(Method.ALLOCATE, (UDP_TRANSPORT,))
    outcome = client.desk.receive(client.five_tuple, packet)
    assert outcome.changes == []
    assert outcome.journal == [Unanswered(client.five_tuple, Method.ALLOCATE, Silence.TOO_SMALL)]


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
def test_where_no_source_can_be_forged_every_realm_is_shown_in_full(transport: Transport) -> None:
    client = client_of("r" * 127, transport)
    answer = client.send(client.plain(Method.ALLOCATE))
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) is not None


def test_a_bare_allocate_is_let_in_after_one_stale_nonce_more() -> None:
    client = Desk().client()
    first = client.send(client.plain(Method.ALLOCATE))
    assert len(first.packet) <= 80
    client.nonce = first.message.first(Attribute.NONCE) or b""
    second = client.allocate()
    assert second.code == 438
    client.nonce = second.message.first(Attribute.NONCE) or b""
    assert client.allocate().code == 0


def test_a_decoy_bids_nobody_down() -> None:
    # Whoever can forge a bare request could show its answer, without algorithms, to a client.
    client = Desk().client()
    client.nonce = client.send(client.plain(Method.ALLOCATE)).message.first(Attribute.NONCE) or b""
    answer = client.allocate()
    assert answer.code == 438
    assert answer.message.first(Attribute.PASSWORD_ALGORITHMS) is not None


@pytest.mark.parametrize("fingerprint", [False, True])
@pytest.mark.parametrize("length", [1, 60, 61, 68, 69, 127])
def test_the_configuration_can_tell_how_long_the_shortest_challenge_is(
    length: int, fingerprint: bool
) -> None:
    client = Desk(Settings(realm="r" * length, fingerprint=fingerprint)).client()
    packet = client.plain(Method.ALLOCATE, ((0x8022, b"x" * 12),))
    found = answers(client.desk.receive(client.five_tuple, packet))
    shortest = shortest_challenge("r" * length, fingerprint=fingerprint)
    assert bool(found) is (shortest <= 4 * len(packet))
    full = shortest + 24 + 12
    assert [len(one) for one in found] in ([shortest], [full], [])


# How many


def from_host(host: str, transport: Transport = Transport.UDP, port: int = 4000) -> FiveTuple:
    return FiveTuple(transport, Address.of(host, port), SERVER, 1)


def answered(
    strangers: Strangers, client: FiveTuple, count: int, *, now: int, rate: int = 10
) -> int:
    return sum(strangers.may_be_answered(client, rate, now=now) for _ in range(count))


def test_a_quiet_source_has_ten_seconds_at_once_and_then_its_rate() -> None:
    strangers, client = Strangers(), from_host("192.0.2.1")
    assert answered(strangers, client, 1_000, now=5 * SECOND) == 10 * BURST_SECONDS
    for second in range(6, 20):
        assert answered(strangers, client, 1_000, now=second * SECOND) == 10
    assert answered(strangers, client, 1_000, now=60 * SECOND) == 10 * BURST_SECONDS


def test_ports_share_their_address_and_ipv6_addresses_their_network() -> None:
    strangers = Strangers()
    assert answered(strangers, from_host("2001:db8::1"), 1_000, now=0) == 100
    assert answered(strangers, from_host("2001:db8::2", port=4001), 9, now=0) == 0
    assert answered(strangers, from_host("2001:db8:0:1::1"), 9, now=0) == 9
    assert answered(strangers, from_host("192.0.2.1"), 1_000, now=0) == 100
    assert answered(strangers, from_host("192.0.2.1", port=4001), 9, now=0) == 0
    assert answered(strangers, from_host("192.0.2.2"), 9, now=0) == 9


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
def test_sources_that_cannot_be_forged_are_not_counted(transport: Transport) -> None:
    strangers = Strangers()
    assert answered(strangers, from_host("192.0.2.1", transport), 500, now=0) == 500
    assert len(strangers) == 0


STREAMS = pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS, Transport.DTLS])
WRONG: dict[str, tuple[str, str]] = {"password": ("alice", "wrong"), "user": ("mallory", "sesame")}


@STREAMS
@pytest.mark.parametrize(("username", "password"), WRONG.values(), ids=WRONG.keys())
def test_no_source_hears_too_often_that_a_password_was_wrong(
    transport: Transport, username: str, password: str
) -> None:
    desk = Desk(Settings(realm=REALM, unauthorized_per_second=1))
    for port in range(BURST_SECONDS):
        guesser = desk.client(40_000 + port, username, transport=transport)
        wrong = guesser.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password=password)
        assert guesser.send(wrong).code == 401
    guesser = desk.client(50_000, username, transport=transport)
    wrong = guesser.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password=password)
    outcome = desk.receive(guesser.five_tuple, wrong)
    assert outcome.changes == []
    entry = Unanswered(guesser.five_tuple, Method.ALLOCATE, Silence.TOO_MANY)
    assert outcome.journal == [entry]
    other = desk.client(host="203.0.113.10", username=username, transport=transport)
    assert other.send(other.signed(Method.ALLOCATE, password=password)).code == 401
    desk.pass_seconds(1)
    assert guesser.send(wrong).code == 401


@STREAMS
def test_whoever_shares_an_address_with_a_guesser_is_challenged_and_served(
    transport: Transport,
) -> None:
    desk = Desk(Settings(realm=REALM, unauthorized_per_second=1))
    guesser = desk.client(transport=transport)
    wrong = guesser.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="wrong")
    for _ in range(2 * BURST_SECONDS):
        desk.receive(guesser.five_tuple, wrong)
    assert desk.receive(guesser.five_tuple, wrong).changes == []
    for port in range(40):
        assert desk.client(50_000 + port, transport=transport).allocate().code == 0
    over_udp = desk.client(60_000)
    assert over_udp.allocate().code == 0


def test_over_udp_a_wrong_password_counts_once() -> None:
    desk = Desk(Settings(realm=REALM, unauthorized_per_second=1))
    client = desk.client()
    wrong = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="wrong")
    assert [client.send(wrong).code for _ in range(BURST_SECONDS - 1)] == [401] * 9
    assert desk.receive(client.five_tuple, wrong).changes == []
    assert len(desk.state.guessers) == 0


def test_no_rate_is_no_limit_and_keeps_nothing() -> None:
    strangers = Strangers()
    assert answered(strangers, from_host("192.0.2.1"), 500, now=0, rate=0) == 500
    assert len(strangers) == 0


def test_a_flood_of_sources_pushes_out_those_that_were_quiet_longest() -> None:
    strangers = Strangers(capacity=3)
    noisy = from_host("192.0.2.1")
    answered(strangers, noisy, 1_000, now=0)
    for host in range(2, 200):
        answered(strangers, from_host(f"192.0.2.{host}"), 1, now=0)
        assert answered(strangers, noisy, 1, now=0) == 0, "still being heard of"
    assert len(strangers) == 3


def test_every_answer_to_a_stranger_counts_and_none_to_whoever_proved_a_password() -> None:
    desk = Desk(Settings(realm=REALM, unauthorized_per_second=1))
    client = desk.client()
    client.challenge()
    for _ in range(30):
        assert client.refresh().code == 437
    wrong = client.signed(Method.ALLOCATE, (UDP_TRANSPORT,), password="wrong")
    incomplete = client.plain(Method.ALLOCATE, ((Attribute.MESSAGE_INTEGRITY, bytes(20)),))
    codes = [client.send(packet).code for packet in (wrong, incomplete, wrong)]
    assert codes == [401, 400, 401]
    for _ in range(6):
        client.send(client.plain(Method.ALLOCATE, (UDP_TRANSPORT,)))
    for packet in (wrong, incomplete, client.plain(Method.ALLOCATE)):
        outcome = desk.receive(client.five_tuple, packet)
        assert outcome.changes == []
        assert outcome.journal == [Unanswered(client.five_tuple, Method.ALLOCATE, Silence.TOO_MANY)]
    assert client.refresh().code == 437, "those who can prove a password are served"
    desk.pass_seconds(1)
    assert client.send(client.plain(Method.ALLOCATE)).code == 401
