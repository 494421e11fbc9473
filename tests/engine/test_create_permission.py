"""CreatePermission: RFC 8656 §10.2, and where a client may relay to."""

from __future__ import annotations

import pytest

from ferryman.engine.changes import Permit
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.settings import SECOND, Settings
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, Method
from tests.conformance.clause import PERMISSION, clause
from tests.engine.desk import PEER, PEER_V6, REALM, RELAY_V4, Client, Desk


@pytest.fixture
def client() -> Client:
    client = Desk().client()
    client.allocate()
    return client


@clause("RFC 8656 §9", "a permission lasts 300 seconds", PERMISSION)
def test_a_permission_lasts_three_hundred_seconds(client: Client) -> None:
    answer = client.permit(PEER)
    assert answer.code == 0
    assert answer.changes == [Permit(1, PEER.ip, False, client.desk.now + 300 * SECOND)]


def test_several_peers_in_one_request_are_all_permitted(client: Client) -> None:
    peers = [Address.of(f"8.8.8.{last}", last) for last in range(1, 6)]
    assert [getattr(change, "peer_ip", None) for change in client.permit(*peers).changes] == [
        peer.ip for peer in peers
    ]


def test_port_zero_is_fine_because_a_permission_has_no_port(client: Client) -> None:
    assert client.permit(Address(PEER.ip, 0)).code == 0


def test_without_a_peer_it_is_400(client: Client) -> None:
    assert client.request(Method.CREATE_PERMISSION).code == 400


def test_a_malformed_peer_is_400(client: Client) -> None:
    answer = client.request(Method.CREATE_PERMISSION, ((Attribute.XOR_PEER_ADDRESS, b"\0\1\0"),))
    assert answer.code == 400


def test_a_peer_of_the_other_family_is_443(client: Client) -> None:
    assert client.permit(PEER_V6).code == 443


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255"]
)
def test_a_refused_peer_is_403_and_the_journal_names_the_rule(client: Client, host: str) -> None:
    answer = client.permit(Address.of(host, 80))
    assert answer.code == 403
    entry = answer.journal[0]
    assert isinstance(entry, RefusedRequest)
    assert host in entry.detail
    assert "refused by" in entry.detail
    assert not answer.changes


def test_one_refused_peer_refuses_them_all(client: Client) -> None:
    answer = client.permit(PEER, Address.of("192.168.1.1", 80))
    assert answer.code == 403
    assert not answer.changes


def test_the_servers_own_address_is_refused(client: Client) -> None:
    assert client.permit(Address.of(RELAY_V4, 22)).code == 403


def test_another_allocations_relayed_address_is_a_good_peer_inside_only(client: Client) -> None:
    other = client.desk.client(40_001, "bob").allocate()
    relayed = other.address(Attribute.XOR_RELAYED_ADDRESS)
    answer = client.permit(relayed)
    assert answer.code == 0
    assert answer.changes == [Permit(1, relayed.ip, True, client.desk.now + 300 * SECOND)]


def test_the_port_beside_another_relayed_address_is_refused(client: Client) -> None:
    other = client.desk.client(40_001, "bob").allocate()
    relayed = other.address(Attribute.XOR_RELAYED_ADDRESS)
    assert client.permit(Address(relayed.ip, relayed.port + 1)).code == 403


def test_the_own_relayed_address_is_not_another_allocations(client: Client) -> None:
    lonely = Desk().client()
    relayed = lonely.allocate().address(Attribute.XOR_RELAYED_ADDRESS)
    assert lonely.permit(relayed).code == 403


def test_a_closed_allocations_relayed_address_is_refused_again(client: Client) -> None:
    other = client.desk.client(40_001, "bob")
    relayed = other.allocate().address(Attribute.XOR_RELAYED_ADDRESS)
    other.refresh(0)
    assert client.permit(relayed).code == 403


def test_an_expired_allocations_relayed_address_is_refused_again() -> None:
    desk = Desk()
    relayed = desk.client(1, "bob").allocate().address(Attribute.XOR_RELAYED_ADDRESS)
    desk.pass_seconds(500)
    client = desk.client(2)
    client.allocate()
    desk.pass_seconds(100)
    assert client.permit(relayed).code == 403


def test_too_many_permissions_are_508_until_old_ones_expire() -> None:
    desk = Desk(Settings(realm=REALM, maximum_permissions=3))
    client = desk.client()
    client.allocate()
    peers = [Address.of(f"8.8.8.{last}", 9) for last in range(1, 6)]
    assert client.permit(*peers[:3]).code == 0
    assert client.permit(peers[3]).code == 508
    assert client.permit(peers[0]).code == 0
    desk.pass_seconds(300)
    assert client.permit(peers[3], peers[4]).code == 0
