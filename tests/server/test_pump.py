"""The pump over a datapath of lists: faults stay with the request that caused them."""

from __future__ import annotations

import io
from typing import Any

from ferryman.auth.long_term import long_term_key
from ferryman.auth.sources import Keys, KeySource, StaticKeys, StaticUsers
from ferryman.engine.credential import Claim, Credential
from ferryman.engine.nonce import Nonces
from ferryman.engine.peer_rules import PeerPolicy, PeerRules
from ferryman.engine.settings import Settings as EngineSettings
from ferryman.engine.state import State
from ferryman.engine.ticket import Tickets
from ferryman.server.journal_log import JournalLog
from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.server.pump import Pump
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.relay_ports import RelayPorts
from ferryman.server.settings import Settings
from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    decode_error_untrusted,
    encode_family,
    encode_requested_transport,
)

REALM = "r"
HERE = Address.of("192.0.2.7", 3478)
UDP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(17))


class Stubborn:
    """A source of keys that fails whenever it is asked for one name."""

    def credential(self, claim: Claim, *, unix_time: float) -> Credential | None:
        if claim.username == "poison":
            raise RuntimeError("the store is on fire")
        return None


class Lists:
    """The datapath's side of the door, kept in lists; it closes what it is told to at once."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.answers: dict[int, bytes] = {}

    def drain(self, limit: int = 64) -> list[tuple[Any, ...]]:
        taken = self.events[:limit]
        del self.events[:limit]
        return taken

    def apply(self, commands: list[tuple[Any, ...]]) -> None:
        for command in commands:
            if command[0] == 0:
                self.answers[command[1][2]] = command[2]
            elif command[0] == 3:
                self.events.append((1, command[1], 0, 0, 0, 0, 0))
            elif command[0] == 13:
                self.events.append((8, command[1], command[2]))


class Table:
    """A pump at work, its datapath, its ports and its log."""

    def __init__(self) -> None:
        self.lists = Lists()
        self.bound: set[Address] = set()
        self.log = io.StringIO()
        settings = EngineSettings(realm=REALM)
        rules = PeerRules(PeerPolicy.PUBLIC, (), (), False, False, frozenset())
        self.state = State(settings, rules, Nonces(b"s", 600), lambda: bytes(8), Tickets(bytes(64)))
        users = StaticUsers({"alice": StaticKeys.of("alice", REALM, "sesame")}, REALM)
        sources: tuple[KeySource, ...] = (Stubborn(), users)
        addresses = RelayAddresses(Settings(listeners=()))
        ports = RelayPorts(
            addresses,
            50_000,
            50_999,
            lambda _, bound: self.bound.add(bound),
            lambda _, bound: self.bound.remove(bound),
        )
        stream = SteadyStream(self.log)
        log = make_log(Format.TEXT, stream=stream)
        self.pump = Pump(self.lists, self.state, Keys(sources), ports, JournalLog(log, stream), log)

    def ask(self, port: int, packet: bytes) -> None:
        raw = (17, b"\x7f\0\0\1", port, HERE.ip, HERE.port, 1)
        self.lists.events.append((0, raw, packet))

    def challenge(self, port: int) -> bytes:
        self.ask(port, encode(MessageClass.REQUEST, Method.ALLOCATE, bytes(12), (UDP_TRANSPORT,)))
        self.pump.run_batch()
        nonce = decode_untrusted(self.lists.answers.pop(port)).first(Attribute.NONCE)
        assert nonce is not None
        return nonce

    def signed(
        self, port: int, method: int, name: str, *attributes: tuple[int, bytes], password: str
    ) -> bytes:
        credentials = (
            (Attribute.USERNAME, name.encode()),
            (Attribute.REALM, REALM.encode()),
            (Attribute.NONCE, self.challenge(port)),
        )
        key = long_term_key(name, REALM, password)
        identity = port.to_bytes(12, "big")
        return encode(MessageClass.REQUEST, method, identity, (*attributes, *credentials), key=key)

    def code(self, port: int) -> int | None:
        """What the client at this port was answered last: 0 success, None nothing."""
        if port not in self.lists.answers:
            return None
        error = decode_untrusted(self.lists.answers[port]).first(Attribute.ERROR_CODE)
        return 0 if error is None else decode_error_untrusted(error)[0]


def allocate(table: Table, port: int, name: str = "alice", password: str = "sesame") -> None:
    packet = table.signed(port, Method.ALLOCATE, name, UDP_TRANSPORT, password=password)
    table.ask(port, packet)


def test_a_fault_over_one_request_leaves_the_others_of_its_batch_alone() -> None:
    table = Table()
    for port, name in ((1, "alice"), (2, "poison"), (3, "alice")):
        allocate(table, port, name)
    table.pump.run_batch()
    assert [table.code(port) for port in (1, 2, 3)] == [0, None, 0]
    assert "please report this client=127.0.0.1:2" in table.log.getvalue()


def test_a_fault_over_the_end_of_one_allocation_ends_nothing_else() -> None:
    table = Table()
    allocate(table, 1)
    table.pump.run_batch()
    timetable = table.state.allocations
    for number in (98, 99):  # what no order of requests can bring about, as far as we know
        timetable._scheduled[number] = 0
        timetable._deadlines.insert(0, (0, number))
    table.pump.tick()
    allocate(table, 2)
    table.pump.run_batch()
    assert table.code(2) == 0
    assert len(timetable) == 2
    assert table.log.getvalue().count("please report this") == 1


def test_allocations_that_expire_in_the_batch_of_a_fault_are_still_closed() -> None:
    table = Table()
    allocate(table, 1)
    table.pump.run_batch()
    (allocation,) = table.state.allocations
    table.state.allocations.extend(allocation, allocation.relayed, expires_at=0)
    allocate(table, 2, "poison")
    table.pump.run_batch()
    table.pump.run_batch()
    assert "allocation closed" in table.log.getvalue()
    assert not table.state.closing


def test_a_forged_request_binds_no_socket() -> None:
    table = Table()
    allocate(table, 1, password="guess")
    table.pump.run_batch()
    assert table.code(1) == 401
    assert not table.bound


def test_a_refused_request_gives_its_socket_back() -> None:
    table = Table()
    allocate(table, 1)
    table.pump.run_batch()
    udp = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(17))
    short = (Attribute.LIFETIME, b"")
    table.ask(2, table.signed(2, Method.ALLOCATE, "alice", udp, short, password="sesame"))
    table.pump.run_batch()
    assert table.code(2) == 400
    assert len(table.bound) == 2
    allocate(table, 3)
    table.pump.run_batch()
    assert len(table.bound) == 2


def test_a_dual_allocation_binds_two_sockets_and_gives_back_one_by_one() -> None:
    table = Table()
    both = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(2))
    packet = table.signed(1, Method.ALLOCATE, "alice", UDP_TRANSPORT, both, password="sesame")
    table.ask(1, packet)
    table.pump.run_batch()
    assert table.code(1) == 0
    assert {address.family for address in table.bound} == {Family.IPV4, Family.IPV6}
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(2))
    zero = (Attribute.LIFETIME, bytes(4))
    packet = table.signed(1, Method.REFRESH, "alice", family, zero, password="sesame")
    table.ask(1, packet)
    table.pump.run_batch()
    assert table.code(1) == 0
    assert table.state.closing_relayed
    table.pump.run_batch()
    assert not table.state.closing_relayed
    assert "relayed address closed client=127.0.0.1:1" in table.log.getvalue()


def test_a_refused_dual_request_gives_both_sockets_back() -> None:
    table = Table()
    allocate(table, 1)
    table.pump.run_batch()
    udp = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(17))
    short = (Attribute.LIFETIME, b"")
    both = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(2))
    for port in (2, 3):
        table.ask(
            port, table.signed(port, Method.ALLOCATE, "alice", udp, both, short, password="sesame")
        )
        table.pump.run_batch()
        assert table.code(port) == 400
        # The allocation's own, and one of each family that is used again.
        assert len(table.bound) == 3


def test_after_close_all_no_request_is_decided_any_more() -> None:
    table = Table()
    allocate(table, 1)
    allocate(table, 2)
    table.pump.run_batch()
    table.pump.close_all()
    table.ask(3, encode(MessageClass.REQUEST, Method.ALLOCATE, bytes(12), (UDP_TRANSPORT,)))
    while table.pump.closing:
        assert table.pump.run_batch()
    assert table.code(3) is None
    assert len(table.state.allocations) == 0
