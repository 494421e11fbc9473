"""CreatePermission: RFC 8656 §9, §10.2."""

from __future__ import annotations

import os

import pytest

from ferryman.wire.address import Address, Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_family, encode_xor_address
from tests.conformance.clause import PERMISSION, TABLE, clause
from tests.turn_client import Peer, TurnClient


def ask(client: TurnClient, peers: list[Address]) -> int:
    transaction_id = os.urandom(12)
    attributes = [
        (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)) for peer in peers
    ]
    return client.ask(client.signed(Method.CREATE_PERMISSION, attributes, transaction_id)).code


@clause("RFC 8656 §10.2", "CreatePermission without XOR-PEER-ADDRESS is 400", "NO_PEER")
def test_a_permission_names_a_peer(client: TurnClient) -> None:
    client.relayed()
    assert client.request(Method.CREATE_PERMISSION).code == 400


@clause("RFC 8656 §10.2", "a malformed XOR-PEER-ADDRESS is 400", "MALFORMED_ATTRIBUTE")
@pytest.mark.parametrize("value", [b"", b"\0\1\0\1", b"\0\3" + bytes(6), b"\0\1" + bytes(18)])
def test_a_malformed_peer_is_a_bad_request(client: TurnClient, value: bytes) -> None:
    client.relayed()
    answer = client.request(Method.CREATE_PERMISSION, ((Attribute.XOR_PEER_ADDRESS, value),))
    assert answer.code == 400


@clause("RFC 8656 §10.2", "a peer of a family that is not allocated is 443", "PEER_FAMILY")
def test_a_peer_of_the_other_family_is_a_mismatch(client: TurnClient) -> None:
    client.relayed()
    assert ask(client, [Address.of("2001:db8::1", 9)]) == 443


@clause("RFC 8656 §21.2.2", "an operator can forbid peers", "FORBIDDEN_PEER")
@clause("RFC 8656 §10.2", "a peer that the rules forbid is 403", "FORBIDDEN_PEER")
@pytest.mark.parametrize("host", ["0.0.0.0", "0.1.2.3", "169.254.169.254"])
def test_a_forbidden_peer_is_refused(client: TurnClient, host: str) -> None:
    client.relayed()
    assert ask(client, [Address.of(host, 80)]) == 403


@clause("RFC 8656 §21.2.2", "IPv4 that hides in IPv6 is judged as IPv4", "FORBIDDEN_PEER")
@pytest.mark.parametrize(
    "host",
    [
        "::",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "fe80::1",
    ],
)
def test_a_forbidden_ipv6_peer_is_refused(client: TurnClient, host: str) -> None:
    client.relayed((Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6)))
    assert ask(client, [Address.of(host, 80)]) == 403


@clause("RFC 8656 §21.4", "6to4 and Teredo are no peers, whatever is inside", "FORBIDDEN_PEER")
@pytest.mark.parametrize("host", ["2002:808:808::1", "2001:0:808:808:0:ffff:f7f7:f7f7"])
def test_nothing_is_sent_into_an_automatic_tunnel(client: TurnClient, host: str) -> None:
    client.relayed((Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6)))
    assert ask(client, [Address.of(host, 80)]) == 403
    assert client.bind(0x4000, Address.of(host, 80)).code == 403


@clause("RFC 8656 §10.2", "one bad peer refuses all of the request", PERMISSION)
def test_permissions_are_all_or_none(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    assert ask(client, [peer.address, Address.of("2001:db8::1", 9)]) == 443
    peer.send(relayed, b"not permitted")
    assert client.is_silent()


@clause(
    "RFC 8656 §21.1.4",
    "data of whom nobody permitted does not arrive",
    "native/flow/src/table/packets.rs",
)
@clause("RFC 8656 §9", "without a permission nothing reaches the client", TABLE)
def test_a_stranger_cannot_reach_the_client(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    peer.send(relayed, b"hello?")
    assert client.is_silent()


@clause("RFC 8656 §9", "a permission is for an IP, whatever the port", TABLE)
def test_a_permission_has_no_port(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    assert client.permit(peer.address._replace(port=9)).code == 0
    peer.send(relayed, b"from another port")
    assert client.receive_data() == (peer.address, b"from another port")


@clause("RFC 8656 §10.2", "several peers are permitted with one request", PERMISSION)
def test_several_peers_are_permitted_at_once(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    assert ask(client, [Address.of("198.51.100.7", 9), peer.address]) == 0
    peer.send(relayed, b"me too")
    assert client.receive_data() == (peer.address, b"me too")
