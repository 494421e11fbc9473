"""No bytes make the engine raise, and no order of requests breaks its tables."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ferryman.engine.changes import CloseAllocation, OpenAllocation, Permit, Usage
from ferryman.engine.ending import disconnected, expire, used
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.state import Outcome
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_even_port
from tests.engine.desk import PEER, REALM, Client, Decided, Desk

METHODS = [Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND]
ATTRIBUTES = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([int(number) for number in Attribute]), st.integers(0, 0xFFFF)),
        st.binary(max_size=24),
    ).filter(lambda pair: pair[0] not in (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)),
    max_size=8,
)


@given(st.binary(max_size=600))
def test_no_bytes_make_admission_raise(packet: bytes) -> None:
    desk = Desk()
    assert isinstance(desk.receive(desk.client().five_tuple, packet), Outcome)


@given(st.sampled_from(METHODS), ATTRIBUTES, st.booleans())
def test_no_attributes_make_a_decision_raise(
    method: Method, attributes: list[tuple[int, bytes]], allocated: bool
) -> None:
    client = Desk().client()
    if allocated:
        client.allocate()
    answer = client.request(method, attributes)
    assert answer.code in (0, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 508)


@given(st.data(), st.sampled_from(METHODS))
def test_no_damaged_request_makes_the_engine_raise(data: st.DataObject, method: Method) -> None:
    client = Desk().client()
    client.allocate()
    packet = bytearray(client.signed(method, ((Attribute.XOR_PEER_ADDRESS, bytes(8)),)))
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(client.desk.receive(client.five_tuple, bytes(packet)), Outcome)


class EngineMachine(RuleBasedStateMachine):
    """Four clients in any order of requests and time; the books must balance throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(Settings(realm=REALM, user_quota=2), nonce_lifetime=0)
        names = ("alice", "bob", "alice", "bob")
        self.clients = [self.desk.client(port, name) for port, name in enumerate(names)]
        self.open: dict[int, Address] = {}
        self.closing: set[int] = set()

    def follow(self, answer: Decided | Outcome) -> None:
        for change in (answer.outcome if isinstance(answer, Decided) else answer).changes:
            match change:
                case OpenAllocation(allocation=number, advertised=advertised):
                    assert advertised not in self.open.values()
                    self.open[number] = advertised
                case CloseAllocation(number):
                    del self.open[number]
                    self.closing.add(number)
                case Permit(allocation=number):
                    assert number in self.open

    def pick(self, index: int) -> Client:
        return self.clients[index]

    @rule(index=st.integers(0, 3), even=st.sampled_from([None, False, True]))
    def allocate(self, index: int, even: bool | None) -> None:
        wish = () if even is None else ((Attribute.EVEN_PORT, encode_even_port(even)),)
        self.follow(self.pick(index).allocate(*wish))

    @rule(index=st.integers(0, 3), lifetime=st.sampled_from([None, 0, 700, 3600]))
    def refresh(self, index: int, lifetime: int | None) -> None:
        self.follow(self.pick(index).refresh(lifetime))

    @rule(index=st.integers(0, 3), last=st.integers(1, 3))
    def permit(self, index: int, last: int) -> None:
        self.follow(self.pick(index).permit(Address.of(f"8.8.8.{last}", 9)))

    @rule(index=st.integers(0, 3), number=st.integers(0x4000, 0x4003), port=st.integers(1, 3))
    def bind(self, index: int, number: int, port: int) -> None:
        self.follow(self.pick(index).bind(number, Address(PEER.ip, port)))

    @rule(seconds=st.sampled_from([1, 299, 301, 601, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.desk.pass_seconds(seconds)
        self.follow(expire(self.desk.state, now=self.desk.now))

    @rule(seconds=st.sampled_from([1, 301, 601]))
    def time_passes_unnoticed(self, seconds: int) -> None:
        self.desk.now += seconds * SECOND

    @rule(index=st.integers(0, 3))
    def disconnect(self, index: int) -> None:
        self.follow(disconnected(self.desk.state, self.pick(index).five_tuple, now=self.desk.now))

    @rule()
    def the_datapath_catches_up(self) -> None:
        for number in self.closing:
            assert used(self.desk.state, number, Usage()).journal
        self.closing.clear()

    @invariant()
    def the_books_balance(self) -> None:
        state = self.desk.state
        assert {allocation.number for allocation in state.allocations} == set(self.open)
        assert set(state.closing) == self.closing
        for owner in ("alice", "bob"):
            owned = [one for one in state.allocations if one.owner == owner]
            assert len(owned) == state.allocations.owned_by(owner) <= 2


TestEngineMachine = EngineMachine.TestCase
