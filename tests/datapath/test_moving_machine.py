"""Engine and flow table together while clients move: whatever happens in whatever order, in the end
both know the same allocations by the same 5-tuples, and the books are balanced.

Between the two lie the queues that are there in the server: what the datapath has seen waits for
the engine, what the engine has decided waits for the datapath.
"""

from __future__ import annotations

from collections import Counter, deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ferryman.datapath import door
from ferryman.datapath.door import pack_five_tuple, unpack_five_tuple
from ferryman.datapath.fake import FakeTable
from ferryman.engine.changes import Change, CloseAllocation, Reply, Usage
from ferryman.engine.ending import disconnected, expire, used
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.mobility import moved
from ferryman.engine.settings import Settings
from ferryman.engine.state import Outcome
from ferryman.wire.channel_data import encode_channel_data
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_uint32
from tests.engine.desk import REALM, UDP_TRANSPORT, Client, Desk
from tests.engine.roaming import ASKS_FOR_TICKET, on

PLACES = 5
QUOTA = 3
DATA = encode_channel_data(0x4000, b"hello", padded=False)

places = st.integers(0, PLACES - 1)
users = st.sampled_from(["alice", "alice", "alice", "bob"])


class Moving(RuleBasedStateMachine):
    """Clients at a few places; the even ones speak UDP, the odd ones TCP."""

    def __init__(self) -> None:
        super().__init__()
        wishes = Settings(realm=REALM, mobility=True, user_quota=QUOTA)
        self.desk = Desk(wishes, nonce_lifetime=0)
        self.table = FakeTable()
        self.to_engine: deque[tuple[str, FiveTuple, object]] = deque()
        self.to_datapath: deque[Change] = deque()
        self.tickets: list[bytes] = []
        self.connections = 0
        self.paths = [self.path(place) for place in range(PLACES)]

    def path(self, place: int) -> FiveTuple:
        """The 5-tuple at a place; a connection's is never used again."""
        self.connections += 1
        transport = Transport.TCP if place % 2 else Transport.UDP
        five_tuple = on(self.desk, 5000 + place, transport=transport).five_tuple
        return five_tuple._replace(socket=self.connections if place % 2 else 1)

    def ask(self, place: int, username: str, method: int, *attributes: tuple[int, bytes]) -> None:
        client = Client(self.desk, self.paths[place], username)
        self.to_engine.append(("asked", client.five_tuple, client.signed(method, attributes)))

    @initialize()
    def start(self) -> None:
        """Two clients are there, with tickets, one over each transport."""
        for place in (0, 1):
            self.allocate(place, "alice", True)
        self.come_to_rest()

    # --- what clients do ---

    @rule(place=places, username=users, mobile=st.booleans())
    def allocate(self, place: int, username: str, mobile: bool) -> None:
        wish = (ASKS_FOR_TICKET,) if mobile else ()
        self.ask(place, username, Method.ALLOCATE, UDP_TRANSPORT, *wish)

    @precondition(lambda self: self.tickets)
    @rule(place=places, username=users, back=st.integers(1, 4))
    def resume(self, place: int, username: str, back: int) -> None:
        """With a ticket that was given out a moment ago, most often the newest."""
        ticket = self.tickets[-min(back, len(self.tickets))]
        self.ask(place, username, Method.REFRESH, (Attribute.MOBILITY_TICKET, ticket))

    @precondition(lambda self: self.tickets)
    @rule(place=places, back=st.integers(1, 2), heard=st.booleans())
    def roam(self, place: int, back: int, heard: bool) -> None:
        """A whole move, with nothing in between, and perhaps all the way."""
        self.resume(place, "alice", back)
        self.engine_turn(9)
        self.datapath_turn(9)
        if heard:
            self.send(place)

    @precondition(lambda self: self.tickets)
    @rule(place=places, allocates=st.booleans(), seconds=st.sampled_from([1, 30]))
    def roam_while_the_engine_is_busy(self, place: int, allocates: bool, seconds: int) -> None:
        """The datapath sees the client move in time, the engine hears of it too late."""
        self.roam(place, 1, False)
        if allocates:
            self.allocate(place, "alice", True)
        self.send(place)
        self.wait(seconds)

    @rule(place=places, username=users, lifetime=st.sampled_from([0, 600, 600, 600]))
    def refresh(self, place: int, username: str, lifetime: int) -> None:
        wish = (Attribute.LIFETIME, encode_uint32(lifetime))
        self.ask(place, username, Method.REFRESH, wish)

    @rule(place=places)
    def send(self, place: int) -> None:
        raw = pack_five_tuple(self.paths[place])
        self.table.from_client(raw, DATA, self.desk.now)
        number = self.table.take_moved()
        if number is not None:
            arrived = unpack_five_tuple(self.table._allocations[number].five_tuple)
            self.to_engine.append(("moved", arrived, number))

    @rule(place=st.sampled_from([1, 3]))
    def hang_up(self, place: int) -> None:
        self.to_engine.append(("disconnected", self.paths[place], None))
        self.paths[place] = self.path(place)

    # --- what the server does ---

    @rule(count=st.integers(1, 9))
    def engine_turn(self, count: int) -> None:
        self.carry(expire(self.desk.state, now=self.desk.now))
        for _ in range(min(count, len(self.to_engine))):
            what, five_tuple, more = self.to_engine.popleft()
            self.carry(self.outcome(what, five_tuple, more))

    def outcome(self, what: str, five_tuple: FiveTuple, more: object) -> Outcome:
        state, now = self.desk.state, self.desk.now
        if what == "asked":
            assert isinstance(more, bytes)
            return self.desk.receive(five_tuple, more)
        if what == "disconnected":
            return disconnected(state, five_tuple, now=now)
        assert isinstance(more, int)
        if what == "moved":
            return moved(state, more, five_tuple, now=now)
        return used(state, more, Usage())

    def carry(self, outcome: Outcome) -> None:
        self.to_datapath += outcome.changes

    @rule(count=st.integers(1, 9))
    def datapath_turn(self, count: int) -> None:
        for _ in range(min(count, len(self.to_datapath))):
            change = self.to_datapath.popleft()
            if isinstance(change, Reply):
                self.hear(change)
                continue
            door.apply(self, [change])
            if isinstance(change, CloseAllocation):
                nobody = self.paths[0]
                self.to_engine.append(("used", nobody, change.allocation))

    def apply(self, commands: list[door.Command]) -> None:
        for command in commands:
            self.table.apply(command)

    def drain(self, limit: int = 64) -> list[tuple[object, ...]]:
        return []

    def hear(self, reply: Reply) -> None:
        ticket = decode_untrusted(reply.message).first(Attribute.MOBILITY_TICKET)
        if ticket is not None:
            self.tickets.append(ticket)

    @rule(seconds=st.sampled_from([1, 29, 30, 31, 570, 600]))
    def wait(self, seconds: int) -> None:
        self.desk.pass_seconds(seconds)

    # --- what must hold ---

    @invariant()
    def no_more_paths_than_two_for_each_allocation(self) -> None:
        allocations = self.desk.state.allocations
        assert len(allocations._by_five_tuple) <= 2 * len(allocations)
        assert len(self.desk.state.moving) <= len(allocations)
        assert len(self.table._by_client) <= 2 * len(self.table._allocations)

    @invariant()
    def the_quota_counts_what_is_there(self) -> None:
        allocations = self.desk.state.allocations
        owners = Counter(allocation.owner for allocation in allocations)
        assert owners == allocations._of_owner
        assert max(owners.values(), default=0) <= QUOTA

    @rule()
    def come_to_rest(self) -> None:
        """With nothing on its way, both sides know the same."""
        while self.to_engine or self.to_datapath or self.expires():
            self.engine_turn(9)
            self.datapath_turn(9)
        state = self.desk.state
        known = {path: one.number for one in state.allocations for path in one.paths}
        assert {p: a.number for p, a in state.allocations._by_five_tuple.items()} == known
        raw = {unpack_five_tuple(p): a.number for p, a in self.table._by_client.items()}
        assert raw == known
        for allocation in state.allocations:
            twin = self.table._allocations[allocation.number]
            assert twin.five_tuple == pack_five_tuple(allocation.five_tuple)
            second = allocation.mobile.next_path
            assert twin.second == (None if second is None else pack_five_tuple(second))
        assert len(self.table._allocations) == len(state.allocations)
        moving = {one.number for one in state.allocations if one.mobile.next_path is not None}
        assert set(state.moving._until) == moving
        assert not state.closing

    def expires(self) -> bool:
        """Whether something has run out just now."""
        outcome = expire(self.desk.state, now=self.desk.now)
        self.carry(outcome)
        return bool(outcome.changes)

    def teardown(self) -> None:
        """In the end everything has run out, and nothing is left anywhere."""
        self.come_to_rest()
        self.desk.pass_seconds(4000)
        self.come_to_rest()
        assert not self.table._allocations
        assert not self.table._by_client
        assert not self.desk.state.allocations._by_five_tuple
        assert not self.desk.state.moving._until


TestMoving = Moving.TestCase
TestMoving.settings = settings(stateful_step_count=60)
