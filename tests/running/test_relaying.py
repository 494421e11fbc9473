"""The running server relays: channels, Send and Data, hand-over, over UDP and TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.auth.time_limited import password_for
from ferryman.wire.address import Address, Family
from ferryman.wire.registry import Attribute
from ferryman.wire.values import encode_family
from tests.running.conftest import ACCOUNTS, Connect, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient

SIZES = [0, 1, 3, 4, 160, 1200, 9000]
IPV6 = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))

transports = pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])


@transports
@pytest.mark.parametrize("size", SIZES)
def test_channel_data_goes_both_ways(connect: Connect, stream: bool, size: int) -> None:
    client, payload = connect(stream=stream), bytes(range(256)) * 40
    with Peer() as peer:
        relayed = client.relayed()
        assert client.bind(0x4000, peer.address).code == 0
        client.send_on(0x4000, payload[:size])
        assert peer.receive() == (payload[:size], relayed)
        peer.send(relayed, payload[:size])
        assert client.receive_channel() == (0x4000, payload[:size])


@transports
@pytest.mark.parametrize("size", SIZES)
def test_send_and_data_go_both_ways(connect: Connect, stream: bool, size: int) -> None:
    client, payload = connect(stream=stream), bytes(range(256)) * 40
    with Peer() as peer:
        relayed = client.relayed()
        assert client.permit(peer.address).code == 0
        client.send_to(peer.address, payload[:size])
        assert peer.receive() == (payload[:size], relayed)
        peer.send(relayed, payload[:size])
        assert client.receive_data() == (peer.address, payload[:size])


@transports
def test_an_ipv6_relay_serves_an_ipv4_client(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream)
    with Peer("::1") as peer:
        relayed = client.relayed(IPV6)
        assert relayed.family is Family.IPV6
        assert client.bind(0x4001, peer.address).code == 0
        client.send_on(0x4001, b"over")
        assert peer.receive() == (b"over", relayed)
        peer.send(relayed, b"back")
        assert client.receive_channel() == (0x4001, b"back")


@transports
def test_an_ipv6_client_gets_an_ipv4_relay_unless_it_asks(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream, host="::1")
    with Peer() as peer:
        relayed = client.relayed()
        assert relayed.family is Family.IPV4
        assert client.permit(peer.address).code == 0
        client.send_to(peer.address, b"hello")
        assert peer.receive() == (b"hello", relayed)


def test_a_peer_without_permission_is_not_heard(connect: Connect) -> None:
    client = connect()
    with Peer() as peer:
        relayed = client.relayed()
        peer.send(relayed, b"let me in")
        assert client.is_silent()


def test_a_send_without_permission_goes_nowhere(connect: Connect) -> None:
    client = connect()
    with Peer() as peer:
        client.relayed()
        client.send_to(peer.address, b"knock")
        client.send_on(0x4000, b"knock")
        assert peer.is_silent()


@transports
def test_after_refresh_zero_nothing_is_relayed(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream)
    with Peer() as peer:
        relayed = client.relayed()
        client.bind(0x4000, peer.address)
        assert client.refresh(0).code == 0
        client.send_on(0x4000, b"late")
        peer.send(relayed, b"late")
        assert peer.is_silent(0.2)
        assert client.is_silent(0.2)


def call(caller: TurnClient, callee: TurnClient) -> tuple[Address, Address]:
    """Both allocate and bind each other's relayed address on channel 0x4000."""
    first, second = caller.relayed(), callee.relayed()
    assert caller.bind(0x4000, second).code == 0
    assert callee.bind(0x4000, first).code == 0
    return first, second


@transports
def test_two_clients_talk_through_their_relayed_addresses(
    connect_public: Connect, stream: bool
) -> None:
    alice, bob = connect_public(stream=stream), connect_public("bob", "hunter2")
    call(alice, bob)
    alice.send_on(0x4000, b"hello bob")
    assert bob.receive_channel() == (0x4000, b"hello bob")
    bob.send_on(0x4000, b"hello alice")
    assert alice.receive_channel() == (0x4000, b"hello alice")


def test_a_hand_over_without_a_channel_arrives_as_data(connect_public: Connect) -> None:
    alice, bob = connect_public(), connect_public("bob", "hunter2")
    first, second = alice.relayed(), bob.relayed()
    assert alice.permit(second).code == 0
    assert bob.permit(first).code == 0
    alice.send_to(second, b"psst")
    assert bob.receive_data() == (first, b"psst")


def test_a_hand_over_needs_the_receivers_permission(connect_public: Connect) -> None:
    alice, bob = connect_public(), connect_public("bob", "hunter2")
    alice.relayed()
    second = bob.relayed()
    assert alice.bind(0x4000, second).code == 0
    alice.send_on(0x4000, b"unasked")
    assert bob.is_silent()


def test_a_permission_for_a_relayed_address_opens_nothing_else_on_that_address(
    connect_public: Connect,
) -> None:
    alice, bob = connect_public(), connect_public("bob", "hunter2")
    alice.relayed()
    second = bob.relayed()
    assert alice.permit(second).code == 0
    with Peer(second.host) as service:
        assert alice.permit(service.address).code == 403
        assert alice.bind(0x4000, service.address).code == 403
        alice.send_to(service.address, b"GET / HTTP/1.0")
        assert service.is_silent()


@pytest.mark.parametrize("policy", ["coturn", "public"])
def test_whatever_the_policy_the_servers_own_addresses_open_relayed_port_by_relayed_port(
    tmp_path: Path, policy: str
) -> None:
    lines = [*ACCOUNTS, f"peer-policy={policy}", "external-ip=9.9.9.9/127.0.0.1"]
    with start_server(lines, tmp_path, addresses=["127.0.0.1"]) as server:
        alice = TurnClient(server.port, "alice", "sesame")
        bob = TurnClient(server.port, "bob", "hunter2")
        own, second = alice.relayed(), bob.relayed()
        assert second.host == "9.9.9.9"
        assert alice.permit(Address.of("9.9.9.9", 22)).code == 403
        assert alice.bind(0x4000, Address.of("9.9.9.9", server.port)).code == 403
        assert logged(server, "9.9.9.9:22 refused by this server's own address")
        for client, peer, number in ((alice, second, 0x4000), (bob, own, 0x4001)):
            assert client.bind(number, peer).code == 0
        alice.send_on(0x4000, b"hello")
        assert bob.receive_channel() == (0x4001, b"hello")
        alice.abandon()
        bob.abandon()


@pytest.mark.parametrize(
    "username", ["{time}:bob", "bob:{time}", "{time}"], ids=["first", "last", "alone"]
)
def test_time_limited_and_static_credentials_work_side_by_side(
    connect: Connect, username: str
) -> None:
    name = username.format(time=4_000_000_000)
    assert connect(name, password_for(name, "north")).allocate().code == 0
    assert connect("alice", "sesame").allocate().code == 0
    assert connect(name, "wrong").allocate().code == 401


def test_an_expired_time_limited_credential_is_401(connect: Connect) -> None:
    name = "1700000000:bob"
    assert connect(name, password_for(name, "north")).allocate().code == 401


def test_the_log_names_the_rule_that_refused(
    public_server: RunningServer, connect_public: Connect
) -> None:
    client = connect_public()
    client.relayed()
    assert client.permit(Address.of("10.9.8.7", 80)).code == 403
    (line,) = logged(public_server, "10.9.8.7")
    assert "peer-policy=public" in line
    assert str(client.local) in line


def test_no_password_or_secret_is_ever_logged(
    server: RunningServer, public_server: RunningServer
) -> None:
    for secret in ("sesame", "hunter2", "north"):
        assert secret not in server.log
        assert secret not in public_server.log
