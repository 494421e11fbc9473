"""No order of requests, news and time breaks the engine's tables: the books balance throughout.

Clients of two users allocate in every way there is (a pair of ports, both families, a ticket, TCP
towards peers), move, connect to peers and hang up; the datapath tells its news late or never.
"""

from __future__ import annotations

import gc
from collections import Counter
from types import FunctionType, ModuleType

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ferryman.engine.allocation import Allocation
from ferryman.engine.changes import (
    AddRelayed,
    BindChannel,
    Change,
    CloseAllocation,
    CloseConnection,
    CloseRelayed,
    Connect,
    ExtendAllocation,
    ExtendRelayed,
    Join,
    LeavePath,
    MoveAllocation,
    OpenAllocation,
    OpenTcpAllocation,
    Permit,
    Reply,
    Usage,
)
from ferryman.engine.connect import connected
from ferryman.engine.connection_attempt import attempted
from ferryman.engine.ending import disconnected, expire, relayed_closed, used
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.mobility import moved
from ferryman.engine.peer_connection import Stage
from ferryman.engine.peer_connection_ending import ended
from ferryman.engine.relay import RelayLease
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.state import Outcome, State
from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    encode_channel_number,
    encode_even_port,
    encode_family,
    encode_requested_transport,
    encode_uint32,
    encode_xor_address,
)
from tests.engine.desk import PEER, PEER_V6, REALM, UDP_TRANSPORT, Client, Desk
from tests.engine.roaming import ASKS_FOR_TICKET, on

QUOTA = 3
NAMES = ("alice", "bob")
TCP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6))
WISHES: list[tuple[tuple[int, bytes], ...]] = [
    (UDP_TRANSPORT,),
    (UDP_TRANSPORT, (Attribute.EVEN_PORT, encode_even_port(False))),
    (UDP_TRANSPORT, (Attribute.EVEN_PORT, encode_even_port(True))),
    (UDP_TRANSPORT, (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6))),
    (UDP_TRANSPORT, ASKS_FOR_TICKET),
    (UDP_TRANSPORT, ASKS_FOR_TICKET),
    (
        UDP_TRANSPORT,
        (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6)),
        ASKS_FOR_TICKET,
    ),
    (TCP_TRANSPORT,),
    (TCP_TRANSPORT,),
]
PEERS = [PEER, PEER._replace(port=5001), Address.of("8.8.8.8", 9), PEER_V6]

places = st.integers(0, 7)
"""Four that speak UDP and four that speak TCP, of the two users in turn."""


class EngineMachine(RuleBasedStateMachine):
    """`open` and the sets beside it say what the datapath has, or will have had in the end."""

    def __init__(self) -> None:
        super().__init__()
        wishes = Settings(realm=REALM, user_quota=QUOTA, mobility=True)
        self.desk = Desk(wishes, nonce_lifetime=0)
        self.rows_at_first = rows(self.desk.state)
        self.sockets = 0
        self.clients = [self.at(place) for place in range(8)]
        self.open: dict[int, set[Address]] = {}
        self.closing: set[int] = set()
        self.closing_relayed: set[tuple[int, Family]] = set()
        self.held: set[RelayLease] = set()
        self.connections: dict[int, int] = {}
        self.arrivals = 2**32
        self.tickets: list[bytes] = []
        self.tokens: list[bytes] = []
        self.connection_ids: list[bytes] = []

    @initialize()
    def start(self) -> None:
        """One client of each kind is there, so that there is something to break."""
        for place, wish in ((0, WISHES[4]), (1, WISHES[3]), (4, WISHES[7]), (5, WISHES[6])):
            self.allocate(place, wish)

    def at(self, place: int, port: int | None = None) -> Client:
        """A client at a place; a connection's 5-tuple is never used again."""
        self.sockets += 1
        transport = Transport.TCP if place > 3 else Transport.UDP
        client = on(self.desk, place if port is None else port, NAMES[place % 2], transport)
        socket = self.sockets if transport.is_stream else 1
        return Client(self.desk, client.five_tuple._replace(socket=socket), client.username)

    def ask(self, place: int, method: int, *attributes: tuple[int, bytes]) -> None:
        self.ask_as(self.clients[place], method, *attributes)

    def ask_as(self, client: Client, method: int, *attributes: tuple[int, bytes]) -> None:
        packet = client.signed(method, attributes)
        self.follow(self.desk.receive(client.five_tuple, packet))

    def ask_about(
        self, place: int, method: int, peer: Address, *attributes: tuple[int, bytes]
    ) -> None:
        client = self.clients[place]
        transaction_id = client.transaction_id()
        named = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
        packet = client.signed(method, (*attributes, named), transaction_id=transaction_id)
        self.follow(self.desk.receive(client.five_tuple, packet))

    # --- what comes of it ---

    def follow(self, outcome: Outcome) -> None:
        for lease in outcome.taken:
            self.held |= set(singles(lease))
        # A pair's two ports end one by one.
        self.held -= {lease._replace(next_higher=None) for lease in outcome.closed}
        self.held -= set(outcome.unclaimed)
        for change in outcome.changes:
            self.obey(change)

    def obey(self, change: Change) -> None:
        match change:
            case Reply(message=message):
                self.read(message)
            case OpenAllocation(allocation=number) | OpenTcpAllocation(allocation=number):
                assert number not in self.open
                assert all(change.advertised not in others for others in self.open.values())
                self.open[number] = {change.advertised}
            case AddRelayed(allocation=number):
                self.open[number].add(change.advertised)
            case CloseAllocation(number):
                del self.open[number]
                self.closing.add(number)
                of_it = [one for one, owner in self.connections.items() if owner == number]
                for connection in of_it:
                    del self.connections[connection]
            case CloseRelayed(number, family):
                (gone,) = [one for one in self.open[number] if one.family is family]
                self.open[number].remove(gone)
                assert self.open[number], "the last one ends with its allocation"
                self.closing_relayed.add((number, family))
            case Connect(connection=connection, allocation=number):
                assert number in self.open
                self.connections[connection] = number
            case Join(connection=connection):
                assert connection in self.connections
            case CloseConnection(connection):
                self.connections.pop(connection, None)
            case (
                Permit(allocation=number)
                | BindChannel(allocation=number)
                | MoveAllocation(allocation=number)
                | LeavePath(allocation=number)
                | ExtendAllocation(allocation=number)
                | ExtendRelayed(allocation=number)
            ):
                assert number in self.open

    def read(self, packet: bytes) -> None:
        """What the clients can use later."""
        message = decode_untrusted(packet)
        for attribute, kept in (
            (Attribute.MOBILITY_TICKET, self.tickets),
            (Attribute.RESERVATION_TOKEN, self.tokens),
            (Attribute.CONNECTION_ID, self.connection_ids),
        ):
            kept += message.all(attribute)

    # --- what clients do ---

    @rule(place=places, wish=st.sampled_from(WISHES))
    def allocate(self, place: int, wish: tuple[tuple[int, bytes], ...]) -> None:
        self.ask(place, Method.ALLOCATE, *wish)

    @precondition(lambda self: self.tokens)
    @rule(place=places, back=st.integers(1, 3))
    def redeem(self, place: int, back: int) -> None:
        token = self.tokens[-min(back, len(self.tokens))]
        self.ask(place, Method.ALLOCATE, UDP_TRANSPORT, (Attribute.RESERVATION_TOKEN, token))

    @rule(
        place=places,
        lifetime=st.sampled_from([None, 0, 0, 700, 3600]),
        family=st.sampled_from([None, *Family]),
    )
    def refresh(self, place: int, lifetime: int | None, family: Family | None) -> None:
        wish = [] if lifetime is None else [(Attribute.LIFETIME, encode_uint32(lifetime))]
        if family is not None:
            wish.append((Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(family)))
        self.ask(place, Method.REFRESH, *wish)

    @precondition(lambda self: self.tickets)
    @rule(place=places, back=st.integers(1, 3), lifetime=st.sampled_from([600, 600, 0]))
    def resume(self, place: int, back: int, lifetime: int) -> None:
        """Somewhere where there may be an allocation already."""
        ticket = self.tickets[-min(back, len(self.tickets))]
        wish = (Attribute.LIFETIME, encode_uint32(lifetime))
        self.ask(place, Method.REFRESH, (Attribute.MOBILITY_TICKET, ticket), wish)

    @precondition(lambda self: self.tickets)
    @rule(place=st.sampled_from([0, 1, 4, 5]), back=st.integers(1, 2))
    def roam(self, place: int, back: int) -> None:
        """To a 5-tuple that nobody has had."""
        self.clients[place] = self.at(place, port=1000 + self.sockets)
        self.resume(place, back, 600)

    @rule(place=places, peer=st.sampled_from(PEERS))
    def permit(self, place: int, peer: Address) -> None:
        self.ask_about(place, Method.CREATE_PERMISSION, peer)

    @rule(place=places, number=st.integers(0x4000, 0x4002), peer=st.sampled_from(PEERS))
    def bind(self, place: int, number: int, peer: Address) -> None:
        channel = (Attribute.CHANNEL_NUMBER, encode_channel_number(number))
        self.ask_about(place, Method.CHANNEL_BIND, peer, channel)

    @rule(place=places, peer=st.sampled_from(PEERS))
    def connect(self, place: int, peer: Address) -> None:
        self.ask_about(place, Method.CONNECT, peer)

    @precondition(lambda self: self.connection_ids)
    @rule(place=places, fresh=st.booleans(), back=st.integers(1, 3))
    def bind_connection(self, place: int, fresh: bool, back: int) -> None:
        """On a connection of its own as a rule."""
        connection_id = self.connection_ids[-min(back, len(self.connection_ids))]
        client = self.at(place) if fresh else self.clients[place]
        self.ask_as(client, Method.CONNECTION_BIND, (Attribute.CONNECTION_ID, connection_id))

    @rule(place=st.integers(4, 7))
    def hang_up(self, place: int) -> None:
        path = self.clients[place].five_tuple
        self.follow(disconnected(self.desk.state, path, now=self.desk.now))
        self.clients[place] = self.at(place)

    # --- what the datapath tells ---

    @rule(index=st.integers(0, 9))
    def the_client_is_heard_on_its_new_path(self, index: int) -> None:
        moving = [one for one in self.desk.state.allocations if one.mobile.next_path is not None]
        if moving:
            one = moving[index % len(moving)]
            path = one.mobile.next_path
            assert path is not None
            self.follow(moved(self.desk.state, one.number, path, now=self.desk.now))

    @rule(index=st.integers(0, 9), succeeded=st.booleans())
    def the_peer_answers(self, index: int, succeeded: bool) -> None:
        """Also one that has been given up, or that has answered before."""
        number = 1 + index % 4
        waiting = self.desk.state.peer_connections.numbered(number)
        if not succeeded and (waiting is None or waiting.unanswered is not None):
            self.connections.pop(number, None)
        if waiting is None or waiting.unanswered is not None:
            news = connected(self.desk.state, number, succeeded=succeeded, now=self.desk.now)
            self.follow(news)

    @rule(index=st.integers(0, 9), peer=st.sampled_from(PEERS))
    def a_peer_connects(self, index: int, peer: Address) -> None:
        """Also to an allocation that is gone by now."""
        numbers = [*self.open, *self.closing, 10_000]
        number = numbers[index % len(numbers)]
        self.arrivals += 1
        if number in self.open:
            self.connections[self.arrivals] = number
        self.follow(attempted(self.desk.state, number, peer, self.arrivals, now=self.desk.now))

    @rule(index=st.integers(0, 9))
    def a_connection_ends(self, index: int) -> None:
        if self.connections:
            number = list(self.connections)[index % len(self.connections)]
            del self.connections[number]
            self.follow(ended(self.desk.state, number, sent_bytes=1, received_bytes=2))

    @rule()
    def the_datapath_catches_up(self) -> None:
        for number in sorted(self.closing):
            news = used(self.desk.state, number, Usage())
            assert news.journal
            self.follow(news)
        self.closing.clear()
        for number, family in sorted(self.closing_relayed):
            self.follow(relayed_closed(self.desk.state, number, family))
        self.closing_relayed.clear()

    # --- time ---

    @rule(seconds=st.sampled_from([1, 29, 31, 299, 301, 601, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.desk.pass_seconds(seconds)
        self.follow(expire(self.desk.state, now=self.desk.now))

    @rule(seconds=st.sampled_from([1, 31, 301, 601]))
    def time_passes_unnoticed(self, seconds: int) -> None:
        self.desk.now += seconds * SECOND

    # --- what must hold ---

    @invariant()
    def engine_and_datapath_have_the_same_allocations(self) -> None:
        state = self.desk.state
        known = {one.number: set(one.advertised) for one in state.allocations}
        assert known == self.open
        assert set(state.closing) == self.closing
        assert set(state.closing_relayed) == self.closing_relayed

    @invariant()
    def every_path_and_every_relayed_address_leads_to_its_allocation(self) -> None:
        allocations = self.desk.state.allocations
        paths: dict[FiveTuple, Allocation] = {}
        relayed: dict[tuple[Transport, Address], Allocation] = {}
        for one in allocations:
            for path in one.paths:
                assert path not in paths, "no 5-tuple has two allocations"
                paths[path] = one
            relayed |= {(one.transport, address): one for address in one.advertised}
        assert allocations._by_five_tuple == paths
        assert allocations._by_relayed == relayed
        moving = {one.number for one in allocations if one.mobile.next_path is not None}
        assert set(self.desk.state.moving._until) == moving

    @invariant()
    def the_quotas_count_what_is_there(self) -> None:
        state = self.desk.state
        assert Counter(one.owner for one in state.allocations) == state.allocations._of_owner
        assert Counter(one.source for one in state.allocations) == state.allocations._of_source
        reserved = Counter(one.owner for one in state.reservations._by_token.values())
        assert reserved == state.reservations._of_owner
        for name in NAMES:
            assert state.allocations.owned_by(name) + state.reservations.owned_by(name) <= QUOTA

    @invariant()
    def every_relay_port_is_somewhere(self) -> None:
        """In the engine's books stands what was handed in, and has not been given back."""
        state = self.desk.state
        somewhere = [lease for one in state.allocations for lease in one.leases]
        somewhere += [lease for one in state.closing.values() for lease in one.allocation.leases]
        somewhere += state.closing_relayed.values()
        somewhere += [one.lease for one in state.reservations._by_token.values()]
        bound = Counter((lease.transport, lease.bound) for lease in somewhere)
        assert bound == Counter((lease.transport, lease.bound) for lease in self.held)

    @invariant()
    def engine_and_datapath_have_the_same_connections(self) -> None:
        table = self.desk.state.peer_connections
        known = {number: one.allocation.number for number, one in table._by_number.items()}
        assert known == self.connections
        assert {one.number for one in table._by_id.values()} == set(known)
        by_peer = [one for of_it in table._by_peer.values() for one in of_it.values()]
        assert sorted(one.number for one in by_peer) == sorted(known)
        bound = {number for number, one in table._by_number.items() if one.stage is Stage.BOUND}
        assert set(table._deadlines) == set(known) - bound

    def teardown(self) -> None:
        """In the end everything has run out, and nothing is left anywhere."""
        self.desk.pass_seconds(4000)
        self.follow(expire(self.desk.state, now=self.desk.now))
        self.the_datapath_catches_up()
        assert not self.open
        assert not self.held
        assert not self.connections
        state = self.desk.state
        assert not len(state.allocations) + len(state.reservations) + len(state.moving)
        assert rows(state) == self.rows_at_first + len(state.strangers) + len(state.guessers)


def rows(state: State) -> int:
    """How many there are in all the tables of the engine, whatever they are called."""
    seen: dict[int, object] = {}
    waiting: list[object] = [state]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType):
            seen[id(one)] = one
            waiting += gc.get_referents(one)
    return sum(len(one) for one in seen.values() if isinstance(one, dict | list | set))


def singles(lease: RelayLease) -> tuple[RelayLease, ...]:
    """A pair is two leases."""
    if lease.next_higher is None:
        return (lease,)
    return (lease._replace(next_higher=None), lease.next_higher)


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(
    stateful_step_count=80, max_examples=max(150, settings().max_examples)
)
