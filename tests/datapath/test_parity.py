"""Native against fake: the same words, the same packets, a hand-turned clock, the same verdicts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ferryman.datapath.door import RawDiscovery
from ferryman.engine.five_tuple import Transport
from ferryman.wire.address import Address, Family
from ferryman.wire.channel_data import encode_channel_data
from tests.datapath.arena import (
    CLIENTS,
    DISCOVERY,
    DISCOVERY_V6,
    INSIDE,
    NOW,
    NUMBERS,
    OUTSIDE,
    OUTSIDE_V6,
    PEER_IPS,
    PEERS,
    PORTS,
    RELAYED,
    SOCKETS,
    binding_requests,
    booleans,
    mutated_binding_requests,
    packets,
    payloads,
    send_indication,
    send_indications,
)
from tests.datapath.twins import RawFiveTuple, Twins

# So few nanoseconds that something ends at most of the instants that are looked at.
lifetimes = st.sampled_from([0, 1, 2, 3, 5, 20])
clients = st.sampled_from(CLIENTS)
peers = st.sampled_from(PEERS[:2]) | st.sampled_from(PEERS)
numbers = st.sampled_from(NUMBERS)
indices = st.integers(0, 7)
errors = st.tuples(
    st.integers(1, 4) | st.sampled_from([0, 11, 12, 128, 255]),
    st.integers(0, 5) | st.just(255),
    st.sampled_from([0, 1280, 0xFFFFFFFF]),
)
families = st.sampled_from([1, 2])


class TableParity(RuleBasedStateMachine):
    """What is opened, permitted and bound is drawn from the same small arena as the packets, so
    that most of them belong to a flow that is there, or has just ended."""

    workers = 1

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.opened: list[int] = []
        self.last = 0

    @initialize(fingerprint=booleans, discovering=booleans)
    def start(self, fingerprint: bool, discovering: bool) -> None:
        """Three clients that may speak to each other and to a peer, over a channel or without. The
        second may carry a byte a second: little more than the first datagram that is shouted."""
        self.twins = Twins(fingerprint=fingerprint, workers=self.workers)
        if discovering:
            self.twins.offer_discovery(DISCOVERY)
        for client, port in zip(CLIENTS, PORTS, strict=False):
            allocation = self._open(client, port, False, 300, int(client is CLIENTS[1]))
            v6 = (OUTSIDE_V6, port, OUTSIDE_V6, port)
            self.twins.apply(6, allocation, *v6, self.now + 100 * allocation)
            for ip in (PEERS[0].ip, OUTSIDE, PEERS[4].ip, OUTSIDE_V6):
                self.twins.apply(4, allocation, ip, ip == OUTSIDE, self.now + 20)
            self.twins.apply(5, allocation, NUMBERS[0], *PEERS[0], False, self.now + 10)

    def _open(self, client: RawFiveTuple, port: int, v6: bool, lifetime: int, rate: int) -> int:
        self.last += 1
        self.opened.append(self.last)
        bound, advertised = (OUTSIDE_V6, OUTSIDE_V6) if v6 else (INSIDE, OUTSIDE)
        expires_at = self.now + lifetime
        self.twins.apply(1, self.last, client, bound, port, advertised, port, expires_at, rate)
        return self.last

    def is_free(self, path: RawFiveTuple, allocation: int | None = None) -> bool:
        """Whether the engine would let a path lead to this allocation, or to a new one."""
        return True

    def is_unbound(self, port: int, v6: bool) -> bool:
        """Whether a relay socket could be bound there."""
        return True

    def _pick(self, index: int) -> int:
        """Mostly an open allocation, else one that is not."""
        if index == 0 or not self.opened:
            return self.last + 1
        return self.opened[index % len(self.opened)]

    @rule(
        client=clients,
        port=st.sampled_from(PORTS),
        v6=booleans,
        lifetime=st.sampled_from([1, 5, 300]),
        rate=st.sampled_from([0, 1]),
    )
    def open(self, client: RawFiveTuple, port: int, v6: bool, lifetime: int, rate: int) -> None:
        if len(self.opened) < 6 and self.is_free(client) and self.is_unbound(port, v6):
            self._open(client, port, v6, lifetime, rate)

    @rule(
        index=indices,
        port=st.sampled_from(PORTS),
        v6=booleans,
        lifetime=st.sampled_from([1, 5, 300]),
    )
    def add_relayed(self, index: int, port: int, v6: bool, lifetime: int) -> None:
        """A second relayed address, or one of a family that is there already."""
        if not self.is_unbound(port, v6):
            return
        bound, advertised = (OUTSIDE_V6, OUTSIDE_V6) if v6 else (INSIDE, OUTSIDE)
        allocation, expires_at = self._pick(index), self.now + lifetime
        self.twins.apply(6, allocation, bound, port, advertised, port, expires_at)
        ip = PEERS[4].ip if v6 else PEERS[0].ip
        self.twins.apply(4, allocation, ip, False, self.now + 20)

    @rule(index=indices, family=families, lifetime=st.sampled_from([0, 1, 5, 300]))
    def extend_relayed(self, index: int, family: int, lifetime: int) -> None:
        self.twins.apply(12, self._pick(index), family, self.now + lifetime)

    @rule(index=indices, family=families)
    def close_relayed(self, index: int, family: int) -> None:
        self.twins.apply(13, self._pick(index), family)

    @rule(index=indices, client=clients)
    def open_again(self, index: int, client: RawFiveTuple) -> None:
        if index < len(self.opened):
            number = self.opened[index]
            self.twins.apply(1, number, client, INSIDE, 50009, OUTSIDE, 50009, self.now + 9, 0)

    @rule(index=indices, lifetime=st.sampled_from([0, 1, 5, 300]))
    def extend(self, index: int, lifetime: int) -> None:
        self.twins.apply(2, self._pick(index), self.now + lifetime)

    @precondition(lambda self: len(self.opened) > 2)
    @rule(index=indices)
    def close(self, index: int) -> None:
        allocation = self._pick(index)
        self.twins.apply(3, allocation)
        self.opened = [number for number in self.opened if number != allocation]

    @rule(index=indices, client=clients, lifetime=st.sampled_from([0, 1, 2, 5, 300]))
    def move(self, index: int, client: RawFiveTuple, lifetime: int) -> None:
        allocation = self._pick(index)
        if self.is_free(client, allocation):
            self.twins.apply(7, allocation, client, self.now + lifetime)

    @rule(index=indices, client=clients)
    def leave(self, index: int, client: RawFiveTuple) -> None:
        self.twins.apply(14, self._pick(index), client)

    @rule(index=indices, ip=st.sampled_from(PEER_IPS), relayed_only=booleans, lifetime=lifetimes)
    def permit(self, index: int, ip: bytes, relayed_only: bool, lifetime: int) -> None:
        self.twins.apply(4, self._pick(index), ip, relayed_only, self.now + lifetime)

    @rule(index=indices, number=numbers, peer=peers, relayed_only=booleans, lifetime=lifetimes)
    def bind(
        self, index: int, number: int, peer: Address, relayed_only: bool, lifetime: int
    ) -> None:
        expires_at = self.now + lifetime
        self.twins.apply(5, self._pick(index), number, *peer, relayed_only, expires_at)

    @rule(index=indices, count=st.integers(10, 40))
    def permit_and_bind_many(self, index: int, count: int) -> None:
        """So many that the native table sweeps out what is dead, and it alone."""
        allocation = self._pick(index)
        crowd = [Address(bytes([198, 51, 101, n]), 1) for n in range(count)]
        for n, peer in enumerate(crowd):
            self.twins.apply(4, allocation, peer.ip, False, self.now + n % 4)
            self.twins.apply(5, allocation, 0x4100 + n, *peer, False, self.now + n % 3)
        for relayed in SOCKETS:
            for peer in crowd:
                self.twins.from_peer(relayed, peer, b"", self.now)

    @rule(nanoseconds=st.integers(1, 2))
    def tick(self, nanoseconds: int) -> None:
        self.now += nanoseconds
        self.everyone_speaks()
        self.everyone_hears()

    @rule(client=clients, said=st.lists(packets, min_size=1, max_size=4))
    def speak(self, client: RawFiveTuple, said: list[bytes]) -> None:
        for packet in said:
            self.twins.from_client(client, packet, self.now)

    @rule(relayed=st.sampled_from(SOCKETS), peer=peers, payload=payloads)
    def hear(self, relayed: Address, peer: Address, payload: bytes) -> None:
        self.twins.from_peer(relayed, peer, payload, self.now)

    @rule(relayed=st.sampled_from(SOCKETS), peer=peers, icmp=errors, count=st.integers(1, 12))
    def err(self, relayed: Address, peer: Address, icmp: tuple[int, int, int], count: int) -> None:
        for _ in range(count):
            self.twins.from_network(relayed, peer, icmp, self.now)

    def everyone_speaks(self) -> None:
        for client in CLIENTS:
            for length, peer in enumerate(PEERS):
                self.twins.from_client(client, send_indication(peer, bytes(length)), self.now)
            for length, number in enumerate(NUMBERS):
                message = encode_channel_data(number, bytes(length), padded=False)
                self.twins.from_client(client, message, self.now)

    def everyone_hears(self) -> None:
        for relayed in SOCKETS:
            for length, peer in enumerate(PEERS):
                self.twins.from_peer(relayed, peer, bytes(length), self.now)

    @rule(
        client=clients,
        number=numbers,
        relayed=st.sampled_from(SOCKETS),
        peer=peers,
        length=st.sampled_from([65_504, 65_505, 65_516, 65_517, 65_535]),
    )
    def shout(
        self, client: RawFiveTuple, number: int, relayed: Address, peer: Address, length: int
    ) -> None:
        payload = bytes(length)
        message = encode_channel_data(number, payload, padded=False)
        self.twins.from_client(client, message, self.now)
        self.twins.from_peer(relayed, peer, payload, self.now)
        self.twins.from_peer(relayed, peer, payload + b"x", self.now)

    def teardown(self) -> None:
        """What was carried has to agree in the end."""
        for allocation in self.opened:
            self.twins.apply(3, allocation)


TestTableParity = TableParity.TestCase
TestTableParity.settings = settings(stateful_step_count=80)


class WorkersParity(TableParity):
    """Two workers, each with a table of its own, do as one does. Of what no engine asks for and no
    kernel grants (one path to two allocations, one address for two), each would know its part."""

    workers = 2

    def is_free(self, path: RawFiveTuple, allocation: int | None = None) -> bool:
        found = self.twins.fake._by_client.get(path)
        return found is None or found.number == allocation

    def is_unbound(self, port: int, v6: bool) -> bool:
        return Address(OUTSIDE_V6 if v6 else INSIDE, port) not in self.twins.fake._by_relayed


TestWorkersParity = WorkersParity.TestCase
TestWorkersParity.settings = settings(stateful_step_count=80)


crowds = st.lists(packets, min_size=10, max_size=20) | st.lists(
    send_indications, min_size=10, max_size=20
)


@given(said=crowds, fingerprint=booleans, workers=st.sampled_from([1, 2, 3]))
def test_every_packet_to_a_flow_that_stands_gets_one_verdict(
    said: list[bytes], fingerprint: bool, workers: int
) -> None:
    twins = Twins(fingerprint=fingerprint, workers=workers)
    for allocation, (client, port) in enumerate(zip(CLIENTS, PORTS, strict=False)):
        twins.apply(1, allocation, client, INSIDE, port, OUTSIDE, port, NOW + 1, 0)
        for ip in PEER_IPS:
            twins.apply(4, allocation, ip, ip == OUTSIDE, NOW + 1)
        twins.apply(5, allocation, NUMBERS[0], *PEERS[0], False, NOW + 1)
        twins.apply(5, allocation, NUMBERS[1], *RELAYED[0], True, NOW + 1)
        for packet in said:
            twins.from_client(client, packet, NOW)
    for allocation in range(len(PORTS)):
        twins.apply(3, allocation)


@given(
    said=st.lists(binding_requests | mutated_binding_requests, min_size=10, max_size=20),
    fingerprint=booleans,
    mapped_address=booleans,
    software=booleans,
    binding=st.sampled_from(["everyone", "everyone", "proved", "nobody"]),
    offers=st.lists(st.sampled_from([DISCOVERY, DISCOVERY_V6, *Family]), max_size=3),
)
def test_every_binding_request_gets_one_answer_from_one_place(
    said: list[bytes],
    fingerprint: bool,
    mapped_address: bool,
    software: bool,
    binding: str,
    offers: list[RawDiscovery | Family],
) -> None:
    twins = Twins(
        fingerprint=fingerprint,
        mapped_address=mapped_address,
        software=software,
        binding=binding,
    )
    for offer in offers:
        if isinstance(offer, Family):
            twins.withdraw_discovery(offer)
        else:
            twins.offer_discovery(offer)
    for client in CLIENTS:
        for packet in said:
            verdict = twins.from_client(client, packet, NOW)
            assert verdict[0] != "answer" or binding == "everyone"
            if verdict[0] == "answer" and client[0] == Transport.UDP:
                assert len(verdict[1]) <= 4 * len(packet)


@given(
    pauses=st.lists(st.sampled_from([0, 1, 499_999_999, 999_999_999, 1_000_000_000]), max_size=40)
)
def test_errors_are_counted_by_the_second_alike(pauses: list[int]) -> None:
    twins, now = Twins(), NOW
    relayed, peer = SOCKETS[1], PEERS[0]
    twins.apply(1, 1, CLIENTS[0], *relayed, *relayed, NOW + 10**12, 0)
    twins.apply(4, 1, peer.ip, False, NOW + 10**12)
    for pause in pauses:
        now += pause
        for _ in range(6):
            twins.from_network(relayed, peer, (3, 3, 0), now)
