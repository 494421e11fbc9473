"""Where two workers have to do with one client: what was moved, reserved, joined or refused holds,
whichever of them hears the client. The kernel chooses by the clients' ports, so that each case is
tried often enough to come to both.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import decode_xor_address_untrusted, encode_uint32
from tests.certificates import make_pair
from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS, Connect, connector
from tests.running.test_mobility import allocated, end, over, resume, ticket_in
from tests.servers import RunningServer, start_server
from tests.tcp_relay import (
    ListeningPeer,
    bind_connection,
    connect_to,
    connection_id,
    receive_exactly,
    relayed_tcp,
)
from tests.turn_client import Peer, TurnClient

CHANNEL = 0x4000
TRANSPORTS = ("udp", "tcp", "tls", "dtls")
PAIRS = tuple(itertools.product(TRANSPORTS, TRANSPORTS))
EARLY = b"before anybody has asked for it" * 300
BEHIND = b"\x00\x01\x00\x00these octets follow the request"
BULK = 1_000_000
BOTH_FAMILIES = (Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\x02\0\0\0")
MOBILE = (Attribute.MOBILITY_TICKET, b"")
RATE = 100_000
"""max-bps, where it counts."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("between")
    lines = [*ACCOUNTS, *make_pair(folder).lines, "tls-listening-port=0", "mobility"]
    with start_server([*lines, "allow-loopback-peers", "relay-threads=2"], folder) as running:
        yield running


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(server, opened)
    for client in opened:
        end(client)


def as_bob(connect: Connect, transport: str) -> TurnClient:
    client = over(connect, transport)
    client.username, client.password = "bob", "hunter2"
    return client


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_granted_to_a_client_that_has_moved_holds_from_its_next_packet_on(
    connect: Connect, transport: str
) -> None:
    for _ in range(25):
        before, after = connect(), over(connect, transport)
        _, ticket = allocated(before)
        assert resume(after, ticket).code == 0
        with Peer() as peer:
            assert after.bind(CHANNEL, peer.address).code == 0
            after.send_on(CHANNEL, b"at once")
            assert peer.receive()[0] == b"at once"
        end(after)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_reserved_port_is_its_owners_wherever_the_token_is_shown(
    connect: Connect, first: str, second: str
) -> None:
    for _ in range(3):
        answer = over(connect, first).allocate((Attribute.EVEN_PORT, b"\x80"))
        token = (
            Attribute.RESERVATION_TOKEN,
            answer.message.first(Attribute.RESERVATION_TOKEN) or b"",
        )
        even = answer.address(Attribute.XOR_RELAYED_ADDRESS)
        assert as_bob(connect, second).allocate(token).code == 508
        owner = over(connect, second)
        relayed = owner.relayed(token)
        assert relayed == even._replace(port=even.port + 1)
        with Peer() as peer:
            assert owner.bind(CHANNEL, peer.address).code == 0
            owner.send_on(CHANNEL, b"out")
            assert peer.receive() == (b"out", relayed)
            peer.send(relayed, b"in")
            assert owner.receive_channel() == (CHANNEL, b"in")


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_an_icmp_error_finds_a_client_that_has_moved(
    connect: Connect, first: str, second: str
) -> None:
    before, after = over(connect, first), over(connect, second)
    _, ticket = allocated(before)
    assert resume(after, ticket).code == 0
    with Peer() as gone:
        nobody = gone.address
    assert after.permit(nobody).code == 0
    after.send_to(nobody, b"is anybody there?")
    message = decode_untrusted(after.receive())
    assert message.method == Method.DATA
    assert message.first(Attribute.ICMP) is not None


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_both_families_move_and_either_can_be_given_up(
    connect: Connect, first: str, second: str
) -> None:
    before, after = over(connect, first), over(connect, second)
    answer = before.allocate(MOBILE, BOTH_FAMILIES)
    message = answer.message
    values = sorted(message.all(Attribute.XOR_RELAYED_ADDRESS), key=len)
    relayed = [decode_xor_address_untrusted(value, message.transaction_id) for value in values]
    assert resume(after, ticket_in(answer)).code == 0
    with Peer("127.0.0.1") as ipv4, Peer("::1") as ipv6:
        for number, (peer, address) in enumerate(zip((ipv4, ipv6), relayed, strict=True)):
            assert after.bind(CHANNEL + number, peer.address).code == 0
            after.send_on(CHANNEL + number, b"out")
            assert peer.receive() == (b"out", address)
            peer.send(address, b"in")
            assert after.receive_channel() == (CHANNEL + number, b"in")
        family = (Attribute.REQUESTED_ADDRESS_FAMILY, b"\x01\0\0\0")
        none = (Attribute.LIFETIME, encode_uint32(0))
        assert after.request(Method.REFRESH, (none, family)).code == 0
        after.send_on(CHANNEL + 1, b"still")
        assert ipv6.receive()[0] == b"still"
        after.send_on(CHANNEL, b"no more")
        assert ipv4.is_silent()


@clause(
    "RFC 6062 §4.3",
    "control and data connections may each be TCP or TLS",
    "native/udp/src/crossing.rs",
)
@pytest.mark.parametrize("control", ["tcp", "tls"])
@pytest.mark.parametrize("data", ["tcp", "tls"])
def test_a_data_connection_of_either_kind_has_all_that_was_sent_before_it_was_bound(
    connect: Connect, control: str, data: str
) -> None:
    for _ in range(6):
        owner = over(connect, control)
        relayed_tcp(owner)
        with ListeningPeer() as peer:
            identity = connection_id(connect_to(owner, peer.address))
            far, _ = peer.accept()
            far.sendall(EARLY)
            assert bind_connection(as_bob(connect, data), identity).code == 400
            near = bound(over(connect, data), identity)
            assert receive_exactly(near.socket, len(EARLY)) == EARLY
            assert receive_exactly(far, len(BEHIND)) == BEHIND
            for one, other in ((near.socket, far), (far, near.socket)):
                sender = threading.Thread(target=one.sendall, args=(bytes(BULK),))
                sender.start()
                assert receive_exactly(other, BULK) == bytes(BULK)
                sender.join()
            assert bind_connection(over(connect, data), identity).code == 400
            far.close()
            assert near.socket.recv(1) == b""
        end(owner)


def bound(client: TurnClient, identity: bytes) -> TurnClient:
    """With octets for the peer right behind the request."""
    client.challenge()
    named = (Attribute.CONNECTION_ID, identity)
    client.send(client.signed(Method.CONNECTION_BIND, (named,)) + BEHIND)
    header = receive_exactly(client.socket, 20)
    receive_exactly(client.socket, int.from_bytes(header[2:4]))
    assert header[:2] == b"\x01\x0b"
    return client


@clause(
    "RFC 8656 §21.3.3",
    "nor with nonce, ticket or request of the owner, over whatever transport",
    "src/ferryman/engine/nonce.py",
)
@pytest.mark.parametrize("owned", TRANSPORTS)
def test_what_is_anothers_is_of_no_use_over_any_transport(connect: Connect, owned: str) -> None:
    owner = over(connect, owned)
    _, ticket = allocated(owner)
    farewell = (Attribute.LIFETIME, encode_uint32(0))
    with Peer() as peer:
        owner.username, owner.password = "bob", "hunter2"
        answers = [owner.refresh(0), owner.permit(peer.address), owner.bind(CHANNEL, peer.address)]
        assert [answer.code for answer in answers] == [441, 441, 441]
        owner.username, owner.password = "alice", "sesame"
    for transport in 2 * TRANSPORTS:
        thief = as_bob(connect, transport)
        assert resume(thief, ticket).code == 441
        captured = owner.signed(Method.REFRESH, (farewell,))
        assert thief.ask(captured).code == 438
        thief.username, thief.password, thief.nonce = "alice", "sesame", owner.nonce
        assert thief.refresh(0).code == 438
    assert owner.refresh(600).code == 0


@clause("RFC 8656 §21.3.1", "and no more of it when it moves", "native/flow/src/bandwidth.rs")
def test_a_bucket_that_is_empty_stays_empty_when_its_client_moves(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, *make_pair(tmp_path).lines, "tls-listening-port=0", "mobility"]
    lines += ["allow-loopback-peers", "relay-threads=2", f"max-bps={RATE}"]
    opened: list[TurnClient] = []
    with start_server(lines, tmp_path) as server, Peer() as peer:
        connect = connector(server, opened)
        client = connect()
        _, ticket = allocated(client)
        assert client.bind(CHANNEL, peer.address).code == 0
        started, arrived = time.monotonic(), 0
        for transport in (*TRANSPORTS, "udp", "udp", "udp"):
            for _ in range(2 * RATE // 1000):
                client.send_on(CHANNEL, bytes(1000))
            arrived += drained(peer)
            client = over(connect, transport)
            answer = resume(client, ticket)
            ticket = ticket_in(answer)
        most = RATE * (1 + time.monotonic() - started)
        assert RATE * 0.8 < arrived <= most
        for each in opened:
            end(each)


def drained(peer: Peer) -> int:
    octets = 0
    peer.socket.settimeout(0.1)
    while True:
        try:
            octets += len(peer.socket.recv(65_536))
        except TimeoutError:
            return octets
