"""Bad input to the running server: answered or dropped as the RFC says; a client works after."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.conformance.clause import clause
from tests.running.conftest import ACCOUNTS, Connect, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import UDP_TRANSPORT, Peer, TurnClient


@pytest.fixture(autouse=True)
def a_normal_client_works_afterwards(connect: Connect) -> Iterator[None]:
    yield
    for stream in (False, True):
        client = connect(stream=stream)
        with Peer() as peer:
            relayed = client.relayed()
            assert client.bind(0x4000, peer.address).code == 0
            client.send_on(0x4000, b"still here")
            assert peer.receive() == (b"still here", relayed)
        assert client.refresh(0).code == 0


def resident_kib(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def valid_packets() -> list[bytes]:
    tid = os.urandom(12)
    return [
        encode(MessageClass.REQUEST, Method.BINDING, tid, ()),
        encode(MessageClass.REQUEST, Method.ALLOCATE, tid, ((Attribute.LIFETIME, bytes(4)),)),
        encode(MessageClass.INDICATION, Method.SEND, tid, ((Attribute.DATA, b"x" * 40),)),
        encode(MessageClass.REQUEST, Method.REFRESH, tid, (), key=b"key", fingerprint=True),
        b"\x40\x00\x00\x05hello",
    ]


def garbage(count: int) -> Iterator[bytes]:
    """Noise, truncated packets, oversized ones, and packets with lies in them; seeded."""
    dice = random.Random(8656)
    packets = valid_packets()
    for _ in range(count):
        packet = bytearray(dice.choice(packets))
        match dice.randrange(5):
            case 0:
                yield dice.randbytes(dice.randrange(1500))
            case 1:
                yield bytes(packet[: dice.randrange(len(packet))])
            case 2:
                yield bytes(packet) + dice.randbytes(dice.randrange(1, 1200))
            case 3:
                packet[dice.randrange(len(packet))] ^= 1 << dice.randrange(8)
                yield bytes(packet)
            case _:
                packet[2:4] = dice.randbytes(2)
                yield bytes(packet)


def test_nothing_listens_but_what_clients_speak_to(server: RunningServer) -> None:
    """No admin port, no page, no metrics that nobody asked for."""
    listening = "0A"
    tables = {name: Path(f"/proc/{server.process.pid}/net/{name}") for name in ("tcp", "tcp6")}
    inodes = set()
    for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
    ports = set()
    for table in tables.values():
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == listening and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    assert ports == {server.port}


@clause("RFC 8489 §16.1.2", "nothing is kept of strangers", "native/flow/src/gate.rs")
def test_five_thousand_garbage_packets_leave_nothing_behind(
    server: RunningServer, connect: Connect
) -> None:
    client = connect()
    for packet in garbage(500):
        client.send(packet)
    client.challenge()
    before = resident_kib(server)
    for number, packet in enumerate(garbage(5_000)):
        client.send(packet)
        if number % 100 == 0:
            time.sleep(0.001)
    assert resident_kib(server) - before < 4_096


def test_garbage_into_an_allocation_changes_nothing(connect: Connect) -> None:
    client = connect()
    with Peer() as peer:
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        for packet in garbage(2_000):
            if packet[:1] != b"\x40":
                client.send(packet)
        client.send_on(0x4000, b"after the storm")
        while (received := peer.receive())[0] != b"after the storm":
            pass
        assert received[1] == relayed


def test_the_largest_datagrams_pass(connect: Connect) -> None:
    client = connect()
    with Peer() as peer:
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        client.send_on(0x4000, b"x" * 65_503)
        assert peer.receive() == (b"x" * 65_503, relayed)
        peer.send(relayed, b"y" * 65_503)
        assert client.receive_channel() == (0x4000, b"y" * 65_503)
        peer.send(relayed, b"z" * 65_507)
        peer.send(relayed, b"small")
        assert client.receive_channel() == (0x4000, b"small")


@pytest.mark.parametrize("cut", [1, 7], ids=["one octet at a time", "seven octets at a time"])
def test_a_tcp_client_may_send_in_crumbs(connect: Connect, cut: int) -> None:
    client = connect(stream=True)
    client.challenge()
    with Peer() as peer:
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = b"\x40\x00\x00\x06crumbs\0\0"
        for start in range(0, len(message), cut):
            client.send(message[start : start + cut])
            time.sleep(0.002)
        assert peer.receive() == (b"crumbs", relayed)


def test_ten_messages_in_one_segment_are_ten_messages(connect: Connect) -> None:
    client = connect(stream=True)
    with Peer() as peer:
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        one = [b"\x40\x00\x00\x05" + f"no. {n}".encode() + b"\0\0\0" for n in range(9)]
        refresh = client.signed(Method.REFRESH)
        client.send(b"".join(one) + refresh)
        assert [peer.receive() for _ in one] == [(f"no. {n}".encode(), relayed) for n in range(9)]
        assert client.receive()[8:20] == refresh[8:20]


def test_ten_requests_in_one_segment_get_ten_answers_in_order(connect: Connect) -> None:
    client = connect(stream=True)
    client.relayed()
    requests = [client.signed(Method.REFRESH) for _ in range(10)]
    client.send(b"".join(requests))
    assert [client.receive()[8:20] for _ in requests] == [request[8:20] for request in requests]


@pytest.mark.parametrize(
    "nonsense",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\xff" * 64, b"\x00\x01\x00\x03" * 8],
    ids=["http", "tls", "ones", "a length that is no multiple of 4"],
)
def test_a_stream_that_cannot_be_turn_is_closed(connect: Connect, nonsense: bytes) -> None:
    client = connect(stream=True)
    client.send(nonsense)
    with pytest.raises(ConnectionError):
        client.receive()


def test_a_stranger_may_not_send_large_messages_over_tcp(connect: Connect) -> None:
    client = connect(stream=True)
    client.send(b"\x00\x03\xff\xfc\x21\x12\xa4\x42" + bytes(12))
    with pytest.raises(ConnectionError):
        client.receive()


def test_hundreds_of_connections_that_say_nothing_disturb_nobody(
    server: RunningServer, connect: Connect
) -> None:
    address = ("127.0.0.1", server.port)
    silent = [socket.create_connection(address) for _ in range(300)]
    half = [socket.create_connection(address) for _ in range(300)]
    for connection in half:
        connection.sendall(b"\x00\x03\x00\x08\x21\x12")
    assert connect(stream=True).allocate().code == 0
    for connection in (*silent, *half):
        connection.close()


def test_a_tcp_client_that_never_reads_stops_nobody(
    server: RunningServer, connect: Connect
) -> None:
    deaf, other = connect(stream=True), connect()
    with Peer() as peer:
        relayed = deaf.relayed()
        deaf.permit(peer.address)
        before = resident_kib(server)
        for _ in range(20_000):
            peer.send(relayed, b"x" * 1200)
        assert resident_kib(server) - before < 8_192
        mine = other.relayed()
        other.bind(0x4000, peer.address)
        other.send_on(0x4000, b"and me?")
        assert peer.receive() == (b"and me?", mine)


def test_two_hundred_strangers_who_never_read_cost_little(server: RunningServer) -> None:
    binding = encode(MessageClass.REQUEST, Method.BINDING, bytes(12), ())
    before = resident_kib(server)
    strangers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for stranger in strangers:
        stranger.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(40):
                stranger.sendall(binding * 1_000)
    time.sleep(0.5)
    assert resident_kib(server) - before < 200 * 96
    for stranger in strangers:
        stranger.close()


def test_a_client_that_asks_and_never_reads_is_cut_off_or_held(
    server: RunningServer, connect: Connect
) -> None:
    deaf = connect(stream=True)
    deaf.challenge()
    request = deaf.signed(Method.REFRESH)
    deaf.socket.settimeout(0.5)
    before = resident_kib(server)
    try:
        for _ in range(40_000):
            deaf.send(request)
    except (TimeoutError, ConnectionError):
        pass
    assert resident_kib(server) - before < 16_384


def test_a_disconnected_tcp_client_loses_its_allocation(
    server: RunningServer, connect: Connect
) -> None:
    client = connect(stream=True)
    relayed = client.relayed()
    client.socket.close()
    assert logged(server, f'relayed={relayed} why="client disconnected"')


@pytest.mark.parametrize("name", ["a\r\nb c=d", "x\x00y", 'quo"te', "%n%s", "u" * 508])
def test_a_username_cannot_break_the_log(
    server: RunningServer, connect: Connect, name: str
) -> None:
    time.sleep(1.1)  # what the tests before caused may have used up this second's lines
    client = connect(name, "wrong")
    assert client.allocate().code == 401
    (line,) = logged(server, f"refused client={client.local}")
    assert json.dumps(name)[1:-1] in line
    assert "code=401" in line


def four_relay_ports() -> list[str]:
    first = random.randrange(5_000, 9_990)
    return [f"min-port={first}", f"max-port={first + 3}"]


def code_when_a_port_is_free(client: TurnClient) -> int:
    """Of the answer to Allocate; a port is free when its socket is closed, a moment later."""
    deadline = time.monotonic() + 5
    while (code := client.allocate().code) == 508 and time.monotonic() < deadline:
        time.sleep(0.02)
    return code


def test_a_full_relay_range_is_508_and_recovers(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, "allow-loopback-peers", *four_relay_ports()]
    with start_server(lines, tmp_path) as small:
        clients = [TurnClient(small.port, "alice", "sesame") for _ in range(6)]
        codes = [client.allocate().code for client in clients]
        assert codes == [0, 0, 0, 0, 508, 508]
        assert clients[0].refresh(0).code == 0
        late = TurnClient(small.port, "alice", "sesame")
        assert code_when_a_port_is_free(late) == 0
        for client in (*clients, late):
            client.socket.close()


def test_clients_that_leave_before_their_answer_keep_no_port(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, *four_relay_ports()]
    with start_server(lines, tmp_path) as small:
        for _ in range(60):
            with TurnClient(small.port, "alice", "sesame", stream=True) as hasty:
                hasty.challenge()
                hasty.send(hasty.signed(Method.ALLOCATE, (UDP_TRANSPORT,)))
        clients = [TurnClient(small.port, "alice", "sesame") for _ in range(4)]
        assert [code_when_a_port_is_free(client) for client in clients] == [0, 0, 0, 0]
        for client in clients:
            client.socket.close()


def test_replies_to_strangers_are_never_four_times_the_request(connect: Connect) -> None:
    client = connect()
    strangers = [
        encode(MessageClass.REQUEST, method, os.urandom(12), attributes)
        for method in (Method.BINDING, Method.ALLOCATE, Method.REFRESH, Method.CHANNEL_BIND)
        for attributes in ((), ((0x7F00, b""),), ((Attribute.USERNAME, b"a"),))
    ]
    for packet in strangers:
        assert len(client.ask(packet).packet) <= 4 * len(packet)
