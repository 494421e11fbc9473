"""ChannelBind and ChannelData: RFC 8656 §12."""

from __future__ import annotations

import pytest

from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_channel_number
from tests.conformance.clause import CHANNEL, STREAM, TABLE, clause
from tests.conformance.conftest import Connect
from tests.turn_client import Peer, TurnClient

NUMBER = 0x4001


@clause("RFC 8656 §12.2", "ChannelBind without CHANNEL-NUMBER is 400", "NO_CHANNEL_NUMBER")
def test_a_number_is_needed(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    assert client.bind_without_number(peer.address).code == 400


@clause("RFC 8656 §12.2", "ChannelBind without XOR-PEER-ADDRESS is 400", "NO_PEER")
def test_a_peer_is_needed(client: TurnClient) -> None:
    client.relayed()
    number = (Attribute.CHANNEL_NUMBER, encode_channel_number(NUMBER))
    assert client.request(Method.CHANNEL_BIND, (number,)).code == 400


@clause("RFC 8656 §12.2", "a channel to port 0 is 400", "CHANNEL_PORT")
def test_a_channel_needs_a_port(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    assert client.bind(NUMBER, peer.address._replace(port=0)).code == 400


@clause("RFC 8656 §12.2", "a channel number outside 0x4000 to 0x4FFF is 400", "CHANNEL_RANGE")
@pytest.mark.parametrize("number", [0, 0x3FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF])
def test_a_number_out_of_range_is_refused(client: TurnClient, peer: Peer, number: int) -> None:
    client.relayed()
    assert client.bind(number, peer.address).code == 400


@clause("RFC 8656 §12", "every number from 0x4000 to 0x4FFF can be bound", CHANNEL)
@pytest.mark.parametrize("number", [0x4000, 0x4FFF])
def test_the_ends_of_the_range_can_be_bound(client: TurnClient, peer: Peer, number: int) -> None:
    client.relayed()
    assert client.bind(number, peer.address).code == 0


@clause("RFC 8656 §12.2", "a number that is bound to another peer is 400", "CHANNEL_TAKEN")
def test_a_number_has_one_peer(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    assert client.bind(NUMBER, peer.address).code == 0
    assert client.bind(NUMBER, peer.address._replace(port=9)).code == 400


@clause("RFC 8656 §12.2", "a peer that is bound to another number is 400", "PEER_TAKEN")
def test_a_peer_has_one_number(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    assert client.bind(NUMBER, peer.address).code == 0
    assert client.bind(NUMBER + 1, peer.address).code == 400


@clause("RFC 8656 §12.2", "the same binding again is a refresh", CHANNEL)
def test_a_binding_can_be_refreshed(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    assert [client.bind(NUMBER, peer.address).code for _ in range(2)] == [0, 0]


@clause("RFC 8656 §12.2", "a peer of a family that is not allocated is 443", "PEER_FAMILY")
def test_a_channel_to_the_other_family_is_a_mismatch(client: TurnClient) -> None:
    client.relayed()
    assert client.bind(NUMBER, Address.of("2001:db8::1", 9)).code == 443


@clause("RFC 8656 §12.2", "a peer that the rules forbid is 403", "FORBIDDEN_PEER")
def test_a_channel_to_a_forbidden_peer_is_refused(client: TurnClient) -> None:
    client.relayed()
    assert client.bind(NUMBER, Address.of("169.254.169.254", 80)).code == 403


@clause("RFC 8656 §12.2", "ChannelBind installs a permission as well", CHANNEL)
def test_a_channel_permits_its_peer(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    assert client.bind(NUMBER, peer.address).code == 0
    with Peer(peer.address.host) as neighbour:
        neighbour.send(relayed, b"same IP, no channel")
        assert client.receive_data() == (neighbour.address, b"same IP, no channel")


@clause("RFC 8656 §12.6, §12.7", "ChannelData goes both ways between client and peer", TABLE)
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 1200])
def test_channel_data_goes_both_ways(
    connect: Connect, peer: Peer, stream: bool, length: int
) -> None:
    client = connect(stream=stream)
    relayed = client.relayed()
    client.bind(NUMBER, peer.address)
    client.send_on(NUMBER, bytes(range(256)) * 5 if length > 256 else b"x" * length)
    expected = bytes(range(256)) * 5 if length > 256 else b"x" * length
    assert peer.receive() == (expected, relayed)
    peer.send(relayed, expected)
    assert client.receive_channel() == (NUMBER, expected)


@clause("RFC 8656 §12.5", "over UDP, padding behind ChannelData may be there or not", TABLE)
@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_padding_over_udp_is_optional(client: TurnClient, peer: Peer, padding: int) -> None:
    client.relayed()
    client.bind(NUMBER, peer.address)
    client.send(b"\x40\x01\x00\x05hello" + bytes(padding))
    assert peer.receive()[0] == b"hello"


@clause("RFC 8656 §12.5", "over TCP, ChannelData is padded to a multiple of 4", STREAM)
def test_padding_over_tcp_is_there(connect: Connect, peer: Peer) -> None:
    client = connect(stream=True)
    relayed = client.relayed()
    client.bind(NUMBER, peer.address)
    for octet in (b"a", b"b"):
        peer.send(relayed, octet)
    wanted, got = 2 * 8, b""
    while len(got) < wanted:
        got += client.socket.recv(wanted - len(got))
    assert got == b"\x40\x01\x00\x01a\0\0\0\x40\x01\x00\x01b\0\0\0"


@clause("RFC 8656 §12.6", "ChannelData on a number that is not bound is dropped", TABLE)
def test_an_unbound_channel_leads_nowhere(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    client.permit(peer.address)
    client.send_on(NUMBER, b"nowhere")
    assert client.is_silent()
    assert peer.is_silent()


@clause("RFC 8656 §12.6", "ChannelData whose length lies is dropped", TABLE)
@pytest.mark.parametrize("packet", [b"\x40\x01\x00\x09short", b"\x40\x01\x00", b"\x40\x01\xff\xff"])
def test_channel_data_that_lies_is_dropped(client: TurnClient, peer: Peer, packet: bytes) -> None:
    client.relayed()
    client.bind(NUMBER, peer.address)
    client.send(packet)
    assert peer.is_silent()


@clause("RFC 8656 §12.2", "a channel number can be used by every client for itself", CHANNEL)
def test_numbers_belong_to_their_allocation(connect: Connect, peer: Peer) -> None:
    for payload in (b"one", b"two"):
        client = connect()
        relayed = client.relayed()
        client.bind(NUMBER, peer.address)
        client.send_on(NUMBER, payload)
        assert peer.receive() == (payload, relayed)
