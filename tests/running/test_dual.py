"""The running server relays over both families in one allocation (RFC 8656 §7.2, §8.2)."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from ferryman.wire.address import Address, Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    decode_address_error_untrusted,
    encode_family,
    encode_uint32,
)
from tests.running.conftest import ACCOUNTS, Connect, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient

BOTH = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6))
FAMILY = Attribute.REQUESTED_ADDRESS_FAMILY
ZERO = (Attribute.LIFETIME, encode_uint32(0))

transports = pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])


@transports
def test_one_allocation_relays_to_peers_of_both_families(connect: Connect, stream: bool) -> None:
    client = connect(stream=stream)
    addresses = client.allocate(BOTH).addresses(Attribute.XOR_RELAYED_ADDRESS)
    assert [relayed.family for relayed in addresses] == [Family.IPV4, Family.IPV6]
    with Peer() as v4, Peer("::1") as v6:
        for number, peer, relayed in zip((0x4000, 0x4001), (v4, v6), addresses, strict=True):
            assert client.permit(peer.address).code == 0
            client.send_to(peer.address, b"there")
            assert peer.receive() == (b"there", relayed)
            peer.send(relayed, b"and back")
            assert client.receive_data() == (peer.address, b"and back")
            assert client.bind(number, peer.address).code == 0
            client.send_on(number, b"by channel")
            assert peer.receive() == (b"by channel", relayed)
            peer.send(relayed, b"so too")
            assert client.receive_channel() == (number, b"so too")


@pytest.mark.parametrize("goes", Family)
def test_one_family_of_a_dual_allocation_goes_and_the_other_relays_on(
    connect: Connect, server: RunningServer, goes: Family
) -> None:
    client = connect()
    addresses = client.allocate(BOTH).addresses(Attribute.XOR_RELAYED_ADDRESS)
    with Peer() as v4, Peer("::1") as v6:
        pairs = list(zip((v4, v6), addresses, strict=True))
        for number, (peer, _) in enumerate(pairs, 0x4000):
            assert client.bind(number, peer.address).code == 0
        family = (FAMILY, encode_family(goes))
        assert client.request(Method.REFRESH, (family, ZERO)).code == 0
        assert client.request(Method.REFRESH, (family,)).code == 443
        for number, (peer, relayed) in enumerate(pairs, 0x4000):
            client.send_on(number, b"anyone?")
            if relayed.family is goes:
                assert client.permit(peer.address).code == 443
                assert peer.is_silent()
                wait_until_free(relayed)
                assert logged(server, f"relayed address closed client={client.local} ")
            else:
                assert peer.receive() == (b"anyone?", relayed)


def wait_until_free(address: Address) -> None:
    """Until nobody holds the address; the server closes sockets a moment after its answer."""
    family = socket.AF_INET if address.family is Family.IPV4 else socket.AF_INET6
    for _ in range(100):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address.host, address.port))
            except OSError:
                time.sleep(0.02)
            else:
                return
    pytest.fail(f"{address} is still bound")


@pytest.mark.parametrize("relay_ip", ["127.0.0.1", "::1"])
def test_a_family_without_a_relay_ip_is_named_and_the_other_is_given(
    tmp_path: Path, relay_ip: str
) -> None:
    lines = [*ACCOUNTS, "listening-ip=127.0.0.1", f"relay-ip={relay_ip}"]
    with (
        start_server(lines, tmp_path, addresses=[]) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        answer = client.allocate(BOTH)
        assert [address.host for address in answer.addresses(Attribute.XOR_RELAYED_ADDRESS)] == [
            relay_ip
        ]
        value = answer.message.first(Attribute.ADDRESS_ERROR_CODE)
        assert value is not None
        missing = Family.IPV6 if relay_ip == "127.0.0.1" else Family.IPV4
        reason = "Address Family not Supported"
        assert decode_address_error_untrusted(value) == (missing, 440, reason)


def test_two_dual_clients_of_one_server_reach_each_other_over_both_families(
    connect: Connect,
) -> None:
    one, two = connect(), connect()
    mine = one.allocate(BOTH).addresses(Attribute.XOR_RELAYED_ADDRESS)
    yours = two.allocate(BOTH).addresses(Attribute.XOR_RELAYED_ADDRESS)
    for my_address, your_address in zip(mine, yours, strict=True):
        assert one.permit(your_address).code == 0
        assert two.permit(my_address).code == 0
        one.send_to(your_address, b"hello")
        assert two.receive_data() == (my_address, b"hello")
