"""The running server while clients move (RFC 8016): real sockets, traffic that never stops."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from ferryman.wire.address import Address
from ferryman.wire.channel_data import decode_channel_data_untrusted
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_uint32
from tests.answer import Answer
from tests.certificates import make_pair
from tests.conformance.clause import clause
from tests.dtls_client import over_dtls
from tests.running.conftest import ACCOUNTS, Connect, connector, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient

CHANNEL = 0x4000
PACKETS = 200
"""So few that they fit into a socket's buffer while nobody reads it."""


@pytest.fixture(scope="module")
def mobile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("mobile")
    pair = make_pair(folder)
    lines = [*ACCOUNTS, *pair.lines, "tls-listening-port=0", "allow-loopback-peers"]
    lines += ["mobility", "user-quota=3", "verbose"]
    with start_server(lines, folder) as running:
        yield running


@pytest.fixture
def connect(mobile_server: RunningServer) -> Iterator[Connect]:
    opened: list[TurnClient] = []
    yield connector(mobile_server, opened)
    for client in opened:
        end(client)


def end(client: TurnClient) -> None:
    """The allocation of a mobile client outlives its socket."""
    with contextlib.suppress(OSError, AssertionError):
        client.refresh(0)
    client.socket.close()


def allocated(client: TurnClient) -> tuple[Address, bytes]:
    """Relayed address and ticket."""
    answer = client.allocate((Attribute.MOBILITY_TICKET, b""))
    assert answer.code == 0
    return answer.address(Attribute.XOR_RELAYED_ADDRESS), ticket_in(answer)


def ticket_in(answer: Answer) -> bytes:
    value = answer.message.first(Attribute.MOBILITY_TICKET)
    assert value
    return value


def resume(client: TurnClient, ticket: bytes) -> Answer:
    """A Refresh with a ticket; the new 5-tuple is shown a nonce first."""
    lifetime = (Attribute.LIFETIME, encode_uint32(600))
    return client.request(Method.REFRESH, ((Attribute.MOBILITY_TICKET, ticket), lifetime))


class Ticker:
    """A peer that sends one numbered packet after the other, and notes the numbers it gets."""

    def __init__(self, peer: Peer, relayed: Address) -> None:
        self._peer, self._relayed = peer, relayed
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in range(PACKETS):
            self._peer.send(self._relayed, number.to_bytes(4, "big"))
            time.sleep(0.002)

    def join(self) -> None:
        self._thread.join()


def numbers_heard(client: TurnClient) -> list[int]:
    """What waits at a client, as far as it is ChannelData of the ticker's."""
    heard: list[int] = []
    client.socket.settimeout(0.3)
    while True:
        try:
            packet = client.receive()
        except (TimeoutError, ConnectionError):
            return heard
        if packet[0] >= 0x40:
            _, payload = decode_channel_data_untrusted(packet)
            heard.append(int.from_bytes(payload, "big"))


def over(connect: Connect, transport: str, host: str = "127.0.0.1") -> TurnClient:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    stream, tls_wanted = transport == "tcp", transport == "tls"
    client = connect(stream=stream, host=host, tls=tls if tls_wanted else None)
    return over_dtls(client) if transport == "dtls" else client


@pytest.mark.parametrize("before", ["udp", "tcp", "tls", "dtls"])
@pytest.mark.parametrize("after", ["udp", "tcp", "tls", "dtls"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_packet_is_lost_and_none_comes_twice_while_a_client_moves(
    connect: Connect, before: str, after: str, host: str
) -> None:
    old, new = over(connect, before), over(connect, after, host)
    with Peer() as peer:
        relayed, ticket = allocated(old)
        assert old.bind(CHANNEL, peer.address).code == 0
        new.challenge()
        ticker = Ticker(peer, relayed)
        time.sleep(0.05)
        for number in range(40):
            old.send_on(CHANNEL, number.to_bytes(4, "big"))
        assert resume(new, ticket).code == 0
        for number in range(40, 80):
            old.send_on(CHANNEL, number.to_bytes(4, "big"))
        time.sleep(0.05)
        for number in range(80, 120):
            new.send_on(CHANNEL, number.to_bytes(4, "big"))
        ticker.join()
        at_peer = [int.from_bytes(peer.receive()[0], "big") for _ in range(120)]
        at_old, at_new = numbers_heard(old), numbers_heard(new)
    assert sorted(at_peer) == list(range(120))
    assert at_old + at_new == list(range(PACKETS)), "in order, over the old path, then the new"
    assert len(at_old) > 10
    assert len(at_new) > 10


def test_until_traffic_comes_on_the_new_path_data_goes_to_the_old_one(connect: Connect) -> None:
    old, new = connect(), connect()
    with Peer() as peer:
        relayed, ticket = allocated(old)
        old.bind(CHANNEL, peer.address)
        resume(new, ticket)
        peer.send(relayed, b"still there?")
        assert old.receive_channel() == (CHANNEL, b"still there?")
        new.send_on(CHANNEL, b"here")
        assert peer.receive() == (b"here", relayed)
        peer.send(relayed, b"welcome")
        assert new.receive_channel() == (CHANNEL, b"welcome")
        old.send_on(CHANNEL, b"ghost")
        assert peer.is_silent(0.2)
        assert old.refresh(600).code == 437


def test_a_client_that_only_listens_moves_with_its_next_request(connect: Connect) -> None:
    old, new = connect(), connect()
    with Peer() as peer:
        relayed, ticket = allocated(old)
        old.bind(CHANNEL, peer.address)
        resume(new, ticket)
        assert new.permit(peer.address).code == 0
        peer.send(relayed, b"welcome")
        assert new.receive_channel() == (CHANNEL, b"welcome")


def test_a_dtls_client_that_has_said_goodbye_comes_back_with_its_ticket(connect: Connect) -> None:
    old, new = over(connect, "dtls"), over(connect, "dtls")
    with Peer() as peer:
        relayed, ticket = allocated(old)
        old.bind(CHANNEL, peer.address)
        old.socket.close()
        assert resume(new, ticket).code == 0
        peer.send(relayed, b"at once")
        assert new.receive_channel() == (CHANNEL, b"at once")


def test_channel_data_is_padded_as_the_path_of_the_moment_needs_it(connect: Connect) -> None:
    datagrams, stream = connect(), connect(stream=True)
    with Peer() as peer:
        relayed, ticket = allocated(datagrams)
        datagrams.bind(CHANNEL, peer.address)
        peer.send(relayed, b"x")
        assert datagrams.socket.recv(100) == b"\x40\x00\x00\x01x"
        resume(stream, ticket)
        stream.send_on(CHANNEL, b"here")
        peer.receive()
        peer.send(relayed, b"x")
        assert stream.socket.recv(100) == b"\x40\x00\x00\x01x\0\0\0"


def test_a_client_whose_connection_is_gone_comes_back_with_its_ticket(connect: Connect) -> None:
    old, new = connect(stream=True), connect(stream=True)
    with Peer() as peer:
        relayed, ticket = allocated(old)
        old.bind(CHANNEL, peer.address)
        old.socket.close()
        assert resume(new, ticket).code == 0
        peer.send(relayed, b"at once")
        assert new.receive_channel() == (CHANNEL, b"at once")


def test_when_the_old_connection_ends_data_goes_to_the_new_path(connect: Connect) -> None:
    old, new = connect(stream=True), connect()
    with Peer() as peer:
        relayed, ticket = allocated(old)
        old.bind(CHANNEL, peer.address)
        assert resume(new, ticket).code == 0
        old.socket.close()
        until = time.monotonic() + 3
        new.socket.settimeout(0.05)
        while time.monotonic() < until:
            peer.send(relayed, b"?")
            try:
                assert new.receive_channel() == (CHANNEL, b"?")
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("nothing came over the new path")


def test_disconnecting_frees_no_quota_and_a_resume_costs_none(connect: Connect) -> None:
    tickets = []
    for _ in range(3):
        client = connect(stream=True)
        tickets.append(allocated(client)[1])
        client.socket.close()
    assert connect(stream=True).allocate((Attribute.MOBILITY_TICKET, b"")).code == 486
    back = [connect(stream=True) for _ in tickets]
    for client, ticket in zip(back, tickets, strict=True):
        assert resume(client, ticket).code == 0
    assert connect(stream=True).allocate().code == 486


@clause("RFC 8016 §5", "a stolen ticket moves nothing", "TICKET_OF_ANOTHER")
def test_a_thief_gets_nowhere(connect: Connect, mobile_server: RunningServer) -> None:
    owner, thief = connect(), connect("bob", "hunter2")
    with Peer() as peer:
        relayed, ticket = allocated(owner)
        owner.bind(CHANNEL, peer.address)
        assert resume(thief, ticket).code == 441
        thief.send_on(CHANNEL, b"mine now")
        assert peer.is_silent(0.1)
        peer.send(relayed, b"for alice")
        assert owner.receive_channel() == (CHANNEL, b"for alice")
    assert logged(mobile_server, "the ticket belongs to another username")
    assert ticket.hex() not in mobile_server.log


def test_an_old_ticket_and_forged_ones_are_refused_and_the_call_goes_on(connect: Connect) -> None:
    owner, new, third = connect(), connect(), connect()
    with Peer() as peer:
        relayed, ticket = allocated(owner)
        owner.bind(CHANNEL, peer.address)
        resume(new, ticket)
        new.send_on(CHANNEL, b"here")
        assert peer.receive() == (b"here", relayed)
        assert resume(third, ticket).code == 400
        for _ in range(120):
            assert resume(third, os.urandom(len(ticket))).code == 400
        peer.send(relayed, b"still yours")
        assert new.receive_channel() == (CHANNEL, b"still yours")


@clause("RFC 8016 §5", "a chain of moves leaves one path", "src/ferryman/engine/handover.py")
def test_two_hundred_chained_resumes_end_with_one_path(connect: Connect) -> None:
    first = connect()
    with Peer() as peer:
        relayed, ticket = allocated(first)
        first.bind(CHANNEL, peer.address)
        last = first
        for number in range(200):
            last = connect(stream=number % 2 == 1)
            ticket = ticket_in(resume(last, ticket))
        peer.send(relayed, b"where are you?")
        assert first.receive_channel() == (CHANNEL, b"where are you?")
        last.send_on(CHANNEL, b"here")
        peer.receive()
        peer.send(relayed, b"there")
        assert last.receive_channel() == (CHANNEL, b"there")
