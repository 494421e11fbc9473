"""The native gate answers strangers octet for octet as the engine would, and lets pass the rest."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.datapath import _native, door
from ferryman.engine.admission import Admitted, admit
from ferryman.engine.answered import RETRANSMISSION_WINDOW
from ferryman.engine.changes import Reply
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.gate import gate_of
from ferryman.engine.nonce import Nonces
from ferryman.engine.offer import Offer
from ferryman.engine.settings import SECOND, Settings
from ferryman.wire.address import Address
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.engine.desk import REALM, SERVER, Desk

IDENTITY = bytes(range(12))
LIFETIME = 600
UNLIMITED = Settings(realm=REALM, unauthorized_per_second=0)
CLIENTS = st.builds(
    FiveTuple,
    st.sampled_from(Transport),
    st.builds(
        Address.of,
        st.sampled_from(["203.0.113.9", "2001:db8::9"]),
        st.sampled_from([0, 9, 40_000, 65_535]),
    ),
    st.just(SERVER),
    st.just(1),
)
SETTINGS = st.builds(
    Settings,
    realm=st.sampled_from(["r", REALM, "a" * 60, "ä" * 381]),
    fingerprint=st.booleans(),
    third_party=st.sampled_from(["", "auth.example", "n" * 200]),
    unauthorized_per_second=st.just(0),
)
# Nanoseconds: none, until a second is over, until the seconds begin anew, and UNIX time.
AHEAD = st.sampled_from([0, SECOND - 1, (2**31 - 700) * SECOND, 1_800_000_000_123_456_789])
AGES = [0, 1, LIFETIME - 1, LIFETIME, LIFETIME + 39, -1, -60, -61]
METHODS = [int(method) for method in Method] + [0x005, 0x100, 0xFFF]


class Gates:
    """A desk and the gate that was made of it."""

    def __init__(
        self, settings: Settings = UNLIMITED, *, usernames: bool = False, ahead: int = 0
    ) -> None:
        self.desk = Desk(settings, nonce_lifetime=LIFETIME)
        self.desk.state.nonces = Nonces(
            b"secret", LIFETIME, anonymous_usernames=usernames, ahead=ahead
        )
        gate = gate_of(self.desk.state)
        assert gate is not None
        self.native = _native.Gate(door.pack_gate(gate))

    def judge(self, client: FiveTuple, packet: bytes) -> tuple[object, ...]:
        return self.native.judge(door.pack_five_tuple(client), packet, self.desk.now)

    def agree(self, client: FiveTuple, packet: bytes) -> str:
        """Holds the gate's verdict against the engine's; returns which it was."""
        verdict = self.judge(client, packet)
        admitted = admit(self.desk.state, client, packet, now=self.desk.now)
        if verdict == ("ask",):
            return "ask"
        assert not isinstance(admitted, Admitted)
        replies = [change.message for change in admitted.changes if isinstance(change, Reply)]
        assert replies == ([verdict[1]] if verdict[0] == "answer" else [])
        return str(verdict[0])


@st.composite
def requests(draw: st.DrawFn, gates: Gates, client: FiveTuple) -> tuple[bytes, bool]:
    """A request by `client`, and whether its nonce was given to it (however long ago)."""
    nonces, now = gates.desk.state.nonces, gates.desk.now
    then = now - draw(st.sampled_from(AGES)) * SECOND
    offer = draw(st.sampled_from(Offer))
    other = client._replace(client=Address.of("192.0.2.77", 7))
    given_to = draw(st.sampled_from([client, client, other]))
    nonce = bytearray(nonces.issue(given_to, offer, now=then))
    is_ours = given_to is client
    if draw(st.booleans()):
        at = draw(st.integers(0, len(nonce) - 1))
        is_ours &= nonce[at] == (octet := draw(st.sampled_from(b"A/=\x00")))
        nonce[at] = octet
    pool = [
        (Attribute.USERNAME, b"alice"),
        (Attribute.USERHASH, bytes(32)),
        (Attribute.REALM, REALM.encode()),
        (Attribute.NONCE, bytes(nonce)),
        (Attribute.NONCE, b"another"),
        (Attribute.PASSWORD_ALGORITHM, bytes.fromhex("00010000")),
        (Attribute.PASSWORD_ALGORITHMS, Offer.EITHER.encoded),
        (Attribute.REQUESTED_TRANSPORT, bytes.fromhex("11000000")),
        (Attribute.MESSAGE_INTEGRITY, bytes(20)),
        (Attribute.MESSAGE_INTEGRITY_SHA256, bytes(32)),
        (0x7FFF, b"unknown"),
    ]
    packet = encode(
        draw(st.sampled_from([MessageClass.REQUEST] * 5 + list(MessageClass))),
        draw(st.sampled_from(METHODS)),
        IDENTITY,
        draw(st.lists(st.sampled_from(pool), max_size=9)),
        fingerprint=draw(st.booleans()),
    )
    return packet, is_ours


@given(st.data(), SETTINGS, st.booleans(), AHEAD, CLIENTS)
def test_the_gate_and_the_engine_say_the_same(
    data: st.DataObject, settings: Settings, usernames: bool, ahead: int, client: FiveTuple
) -> None:
    gates = Gates(settings, usernames=usernames, ahead=ahead)
    packet, _ = data.draw(requests(gates, client))
    gates.agree(client, packet)


@given(st.data(), CLIENTS)
def test_damaged_requests_are_judged_alike(data: st.DataObject, client: FiveTuple) -> None:
    gates = Gates()
    packet, _ = data.draw(requests(gates, client))
    damaged = bytearray(packet)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    gates.agree(client, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@given(st.data(), CLIENTS)
def test_nothing_reaches_the_engine_without_a_nonce_of_this_very_client(
    data: st.DataObject, client: FiveTuple
) -> None:
    gates = Gates()
    packet, is_ours = data.draw(requests(gates, client))
    if not is_ours:
        assert gates.judge(client, packet)[0] != "ask"


def _signed(gates: Gates, client: FiveTuple, age: int, *more: tuple[int, bytes]) -> bytes:
    nonce = gates.desk.state.nonces.issue(client, Offer.MD5, now=gates.desk.now - age * SECOND)
    shown = ((Attribute.USERNAME, b"a"), (Attribute.REALM, b"r"), (Attribute.NONCE, nonce))
    key = b"whatever"
    return encode(MessageClass.REQUEST, Method.REFRESH, IDENTITY, (*shown, *more), key=key)


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (0, "ask"),
        (LIFETIME - 1, "ask"),
        # The engine may have answered it while the nonce was fresh, and answers so again.
        (LIFETIME, "ask"),
        (LIFETIME + RETRANSMISSION_WINDOW // SECOND - 1, "ask"),
        (LIFETIME + RETRANSMISSION_WINDOW // SECOND, "answer"),
    ],
)
def test_a_stale_nonce_is_the_gate_s_when_no_retransmission_can_bring_it(
    age: int, verdict: str
) -> None:
    gates = Gates()
    client = gates.desk.client().five_tuple
    assert gates.agree(client, _signed(gates, client, age)) == verdict


def test_a_stale_nonce_with_algorithms_is_the_engine_s() -> None:
    gates = Gates()
    client = gates.desk.client().five_tuple
    named = (Attribute.PASSWORD_ALGORITHM, bytes.fromhex("00010000"))
    assert gates.agree(client, _signed(gates, client, LIFETIME + 100, named)) == "ask"


@pytest.mark.parametrize("transport", Transport)
def test_strangers_have_so_many_answers_over_udp_and_any_number_elsewhere(
    transport: Transport,
) -> None:
    gates = Gates(Settings(realm=REALM, unauthorized_per_second=4))
    client = gates.desk.client(transport=transport).five_tuple
    bare = encode(MessageClass.REQUEST, Method.ALLOCATE, IDENTITY, [(0x0019, bytes(4))])
    verdicts = [gates.agree(client, bare) for _ in range(100)]
    assert verdicts.count("answer") == (40 if transport is Transport.UDP else 100)
    gates.desk.pass_seconds(1)
    assert [gates.agree(client, bare) for _ in range(9)].count("answer") >= 4


def test_there_is_no_gate_where_nobody_needs_credentials() -> None:
    assert gate_of(Desk(Settings(realm=REALM, authenticated=False)).state) is None


def test_the_key_is_in_no_repr() -> None:
    gate = gate_of(Desk().state)
    assert gate is not None
    assert repr(gate.key)[2:-1] not in repr(gate)


def test_what_no_answer_has_room_for_is_refused() -> None:
    gate = gate_of(Desk().state)
    assert gate is not None
    name = b"r" * 764
    for wrong in (
        dataclasses.replace(gate, realm=name),
        dataclasses.replace(gate, third_party=name),
        dataclasses.replace(gate, cookie=name),
    ):
        with pytest.raises(ValueError, match=r"at most 763|13 characters"):
            _native.Gate(door.pack_gate(wrong))
