"""The running server tells clients what became of their packets (RFC 8656 §11.5), and sends whole
what they ask to be sent whole (§14, §15). What is on the wire then, `headers` looks at."""

from __future__ import annotations

import os

import pytest

from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    decode_icmp_untrusted,
    decode_xor_address_untrusted,
    encode_family,
    encode_xor_address,
)
from tests.conformance.clause import clause
from tests.running.conftest import Connect
from tests.turn_client import Peer, TurnClient

BOTH = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6))
DONT_FRAGMENT = (Attribute.DONT_FRAGMENT, b"")
PORT_UNREACHABLE = {"127.0.0.1": (3, 3, 0), "::1": (1, 4, 0)}

transports = pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])


def closed_port(host: str) -> Address:
    with Peer(host) as peer:
        return peer.address


def told(client: TurnClient) -> tuple[Address, tuple[int, int, int]]:
    """The next Data indication with ICMP: the peer that it is about, type, code and error data."""
    message = decode_untrusted(client.receive())
    peer, icmp = message.first(Attribute.XOR_PEER_ADDRESS), message.first(Attribute.ICMP)
    assert (message.method, message.first(Attribute.DATA)) == (Method.DATA, None)
    assert peer is not None
    assert icmp is not None
    return decode_xor_address_untrusted(peer, message.transaction_id), decode_icmp_untrusted(icmp)


def send_whole(client: TurnClient, peer: Address, payload: bytes) -> None:
    transaction_id = os.urandom(12)
    attributes = (
        (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)),
        DONT_FRAGMENT,
        (Attribute.DATA, payload),
    )
    client.send(encode(MessageClass.INDICATION, Method.SEND, transaction_id, attributes))


@transports
@pytest.mark.parametrize("host", PORT_UNREACHABLE)
def test_a_closed_port_is_told_of(connect: Connect, stream: bool, host: str) -> None:
    client, peer = connect(stream=stream), closed_port(host)
    assert client.allocate(BOTH).code == 0
    assert client.permit(peer).code == 0
    client.send_to(peer, b"anyone?")
    assert told(client) == (peer, PORT_UNREACHABLE[host])


def test_a_channel_does_not_hide_it(connect: Connect) -> None:
    client, peer = connect(), closed_port("127.0.0.1")
    client.relayed()
    assert client.bind(0x4000, peer).code == 0
    client.send_on(0x4000, b"anyone?")
    assert told(client) == (peer, (3, 3, 0))


@clause(
    "RFC 8656 §11.5",
    "an ICMP error is told to the client whose packet it was",
    "native/udp/src/error_queue.rs",
)
def test_one_client_is_told_and_others_hear_nothing_of_it(connect: Connect) -> None:
    client, other, peer = connect(), connect(), closed_port("127.0.0.1")
    for one in (client, other):
        one.relayed()
        assert one.permit(peer).code == 0
    client.send_to(peer, b"anyone?")
    assert told(client) == (peer, (3, 3, 0))
    assert other.is_silent()


@transports
def test_whoever_asks_for_it_is_served_whole(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream)
    with Peer() as peer:
        relayed = client.allocate(DONT_FRAGMENT).address(Attribute.XOR_RELAYED_ADDRESS)
        assert client.permit(peer.address).code == 0
        send_whole(client, peer.address, b"whole")
        assert peer.receive() == (b"whole", relayed)
