"""Send and Data indications: RFC 8656 §11."""

from __future__ import annotations

import os
import socket

import pytest

from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_family, encode_xor_address
from tests.conformance.clause import HEADER, SEND, TABLE, clause
from tests.conformance.conftest import Connect
from tests.conformance.crafting import plain
from tests.servers import has_ipv6
from tests.turn_client import Peer, TurnClient

SEND_INDICATION = 0x0016


def send_indication(peer: Address, payload: bytes, *more: tuple[int, bytes]) -> bytes:
    transaction_id = os.urandom(12)
    where = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
    return plain(
        SEND_INDICATION, [where, (Attribute.DATA, payload), *more], transaction_id=transaction_id
    )


@clause("RFC 8656 §11.2, §11.3", "data goes both ways in Send and Data indications", TABLE)
@pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 1200])
def test_data_goes_both_ways(connect: Connect, peer: Peer, stream: bool, payload: bytes) -> None:
    client = connect(stream=stream)
    relayed = client.relayed()
    client.permit(peer.address)
    client.send_to(peer.address, payload)
    assert peer.receive() == (payload, relayed)
    peer.send(relayed, payload)
    assert client.receive_data() == (peer.address, payload)


@clause("RFC 8656 §11.3", "a Data indication has no more than peer and data", HEADER)
def test_a_data_indication_is_small(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    client.permit(peer.address)
    peer.send(relayed, b"12345")
    packet = client.receive()
    message = decode_untrusted(packet)
    assert message.method == Method.DATA
    assert {number for number, _ in message.attributes} == {
        Attribute.XOR_PEER_ADDRESS,
        Attribute.DATA,
    }
    assert len(packet) == 20 + 12 + 12
    assert b"12345" + bytes(3) in packet


@clause("RFC 8656 §11.2", "a Send indication needs a permission", TABLE)
def test_sending_needs_a_permission(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    client.send_to(peer.address, b"not permitted")
    assert peer.is_silent()


@clause(
    "RFC 8656 §21.2.1",
    "only a proved request makes a permission",
    "native/flow/src/table/packets.rs",
)
@clause("RFC 8656 §11.2", "a Send indication installs no permission", TABLE)
def test_sending_permits_nobody(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    client.send_to(peer.address, b"not permitted")
    peer.send(relayed, b"nor this")
    assert client.is_silent()


@clause("RFC 8656 §11.2", "a Send indication without XOR-PEER-ADDRESS or DATA is dropped", SEND)
def test_an_incomplete_indication_is_dropped(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    client.permit(peer.address)
    client.send(plain(SEND_INDICATION, [(Attribute.DATA, b"x")]))
    transaction_id = os.urandom(12)
    where = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer.address, transaction_id))
    client.send(plain(SEND_INDICATION, [where], transaction_id=transaction_id))
    assert peer.is_silent()
    assert client.is_silent()


@clause("RFC 8489 §6.3.2", "an indication with an unknown required attribute is dropped", SEND)
def test_an_indication_that_is_not_understood_is_dropped(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    client.permit(peer.address)
    client.send(send_indication(peer.address, b"x", (0x7F01, b"")))
    assert peer.is_silent()


@clause("RFC 8489 §14", "of two XOR-PEER-ADDRESSes the first counts", SEND)
def test_the_first_peer_counts(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    client.permit(peer.address)
    with Peer(peer.address.host) as other:
        transaction_id = os.urandom(12)
        attributes = [
            (Attribute.XOR_PEER_ADDRESS, encode_xor_address(one.address, transaction_id))
            for one in (peer, other)
        ]
        attributes.append((Attribute.DATA, b"for the first"))
        client.send(plain(SEND_INDICATION, attributes, transaction_id=transaction_id))
        assert peer.receive()[0] == b"for the first"
        assert other.is_silent()


@clause("RFC 8656 §11.2", "DONT-FRAGMENT in a Send indication is understood", SEND)
def test_dont_fragment_is_understood(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    client.permit(peer.address)
    client.send(send_indication(peer.address, b"whole", (Attribute.DONT_FRAGMENT, b"")))
    assert peer.receive()[0] == b"whole"


@clause("RFC 8656 §9", "a relay socket answers no STUN", TABLE)
def test_a_relay_socket_is_no_server(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    client.permit(peer.address)
    request = plain(0x0001)
    peer.send(relayed, request)
    assert client.receive_data() == (peer.address, request)
    assert peer.is_silent()


@clause("RFC 8656 §11.2", "IPv6 peers are reached from an IPv6 relayed address", TABLE)
def test_ipv6_peers_are_reached(client: TurnClient) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    relayed = client.relayed((Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6)))
    with Peer("::1") as peer:
        assert client.permit(peer.address).code == 0
        client.send_to(peer.address, b"six")
        assert peer.receive() == (b"six", relayed)
        peer.send(relayed, b"back")
        assert client.receive_data() == (peer.address, b"back")


@clause("RFC 8656 §11.5", "an ICMP error from a permitted peer is told in a Data indication", TABLE)
def test_an_icmp_error_is_told(client: TurnClient, peer: Peer) -> None:
    client.relayed()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind((peer.address.host, 0))
        closed = Address.of(*gone.getsockname())
    client.permit(closed)
    client.send_to(closed, b"anyone there?")
    message = decode_untrusted(client.receive())
    assert message.method == Method.DATA
    icmp = message.first(Attribute.ICMP)
    assert icmp is not None
    assert (icmp[2] & 0x7F, len(icmp)) == (3, 8) or icmp[2] >> 1 == 3
    assert message.first(Attribute.DATA) is None
