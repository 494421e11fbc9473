"""No way to what must not be reached: every spelling of it, with every method that names a peer,
under either policy, at the running server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address

import ifaddr
import pytest

from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_channel_number, encode_xor_address
from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, start_server
from tests.tcp_relay import TCP_TRANSPORT
from tests.turn_client import UDP_TRANSPORT, TurnClient

NEVER = ["127.0.0.1", "127.8.9.10", "0.0.0.0", "0.255.255.255", "169.254.169.254"]
MULTICAST = ["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"]
PRIVATE = ["10.0.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "192.0.0.192", "198.18.0.1"]
NEVER_V6 = ["::", "::1", "fe80::1", "fec0::1", "fd00:ec2::254", "ff02::1", "ff0e::1"]
PRIVATE_V6 = ["100::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1", "e000::1"]
FAMILIES = {4: b"\x01\0\0\0", 16: b"\x02\0\0\0"}


def own() -> list[str]:
    """Of every interface of this machine."""
    found = (ip.ip for adapter in ifaddr.get_adapters() for ip in adapter.ips)
    return [(ip if isinstance(ip, str) else ip[0]).partition("%")[0] for ip in found]


def spellings(text: str) -> Iterator[bytes]:
    """An address, and every IPv6 address that stands for it if it is one of IPv4."""
    plain = ip_address(text).packed
    yield plain
    if len(plain) == 16:
        return
    yield bytes(10) + b"\xff\xff" + plain  # mapped
    yield bytes(12) + plain  # compatible
    yield bytes(8) + b"\xff\xff\0\0" + plain  # translated
    yield bytes.fromhex("0064ff9b") + bytes(8) + plain  # NAT64
    yield bytes.fromhex("0064ff9b0001") + bytes(6) + plain  # local NAT64
    yield b"\x20\x02" + plain + bytes(10)  # 6to4
    yield bytes.fromhex("20010000") + plain + bytes(4) + bytes(4)  # Teredo, its server
    inside = bytes(octet ^ 0xFF for octet in plain)
    yield bytes.fromhex("2001000008080808") + bytes(4) + inside  # Teredo, its client
    yield bytes.fromhex("2a00000000000000") + bytes.fromhex("00005efe") + plain  # ISATAP


@pytest.fixture(scope="module", params=["public", "coturn"])
def policy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, RunningServer]]:
    lines = [*ACCOUNTS, f"peer-policy={request.param}", "no-multicast-peers"]
    with start_server(lines, tmp_path_factory.mktemp("policy")) as running:
        yield request.param, running


def allocated(server: RunningServer, transport: tuple[int, bytes], length: int) -> TurnClient:
    client = TurnClient(server.port, "alice", "sesame", stream=transport is TCP_TRANSPORT)
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, FAMILIES[length])
    assert client.request(Method.ALLOCATE, (transport, family)).code == 0
    return client


def code(client: TurnClient, method: Method, ip: bytes) -> int:
    transaction_id = os.urandom(12)
    peer = encode_xor_address(Address(ip, 80), transaction_id)
    attributes = [(Attribute.XOR_PEER_ADDRESS, peer)]
    if method is Method.CHANNEL_BIND:
        attributes.append((Attribute.CHANNEL_NUMBER, encode_channel_number(0x4000)))
    return client.ask(client.signed(method, attributes, transaction_id)).code


@pytest.mark.parametrize("length", [4, 16], ids=["ipv4", "ipv6"])
def test_no_spelling_of_a_forbidden_peer_is_taken_by_any_method(
    policy: tuple[str, RunningServer], length: int
) -> None:
    name, server = policy
    forbidden = [*NEVER, *MULTICAST, *NEVER_V6, *own()]
    if name == "public":
        forbidden += [*PRIVATE, *PRIVATE_V6]
    every = {ip for text in forbidden for ip in spellings(text) if len(ip) == length}
    with (
        allocated(server, UDP_TRANSPORT, length) as udp,
        allocated(server, TCP_TRANSPORT, length) as tcp,
    ):
        ways = [(udp, Method.CREATE_PERMISSION), (udp, Method.CHANNEL_BIND), (tcp, Method.CONNECT)]
        taken = [
            (str(ip_address(ip)), method.name)
            for ip in sorted(every)
            for client, method in ways
            if code(client, method, ip) != 403
        ]
    assert len(every) >= 10
    assert taken == []


def test_what_is_no_forbidden_peer_is_taken(policy: tuple[str, RunningServer]) -> None:
    _, server = policy
    with allocated(server, UDP_TRANSPORT, 4) as client:
        assert code(client, Method.CREATE_PERMISSION, ip_address("8.8.8.8").packed) == 0
