"""ChannelBind: RFC 8656 §12.2, and the quarantine of §12."""

from __future__ import annotations

import pytest

from ferryman.engine.changes import BindChannel, Permit
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.settings import SECOND, Settings
from ferryman.wire.address import Address
from ferryman.wire.registry import CHANNEL_NUMBERS_RFC5766, Attribute, Method
from ferryman.wire.values import encode_channel_number
from tests.conformance.clause import CHANNEL, clause
from tests.engine.desk import PEER, PEER_V6, REALM, RELAY_V4, Client, Desk

OTHER = Address.of("8.8.4.5", 5000)
NUMBER = (Attribute.CHANNEL_NUMBER, encode_channel_number(0x4000))


@pytest.fixture
def client() -> Client:
    client = Desk().client()
    client.allocate()
    return client


@clause("RFC 8656 §12", "a channel lasts 600 seconds, its permission 300", CHANNEL)
def test_a_channel_lasts_600_s_and_its_permission_300_s(client: Client) -> None:
    now = client.desk.now
    answer = client.bind(0x4000, PEER)
    assert answer.code == 0
    assert answer.changes == [
        Permit(1, PEER.ip, False, now + 300 * SECOND),
        BindChannel(1, 0x4000, PEER, False, now + 600 * SECOND),
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [(0x0000, 400), (0x3FFF, 400), (0x4000, 0), (0x4FFF, 0), (0x5000, 400), (0xFFFF, 400)],
)
def test_the_channel_range_is_rfc_8656s(client: Client, number: int, code: int) -> None:
    assert client.bind(number, PEER).code == code


def test_the_log_names_the_key_that_takes_an_older_clients_number(client: Client) -> None:
    """coturn's own client chose such numbers before 4.16, and Debian 12 has an older one."""
    (refused,) = client.bind(0x7D97, PEER).journal
    assert isinstance(refused, RefusedRequest)
    assert refused.detail == "0x7D97, good with rfc5766-channel-numbers"
    (refused,) = client.bind(0x8000, PEER).journal
    assert isinstance(refused, RefusedRequest)
    assert refused.detail == "0x8000"


@pytest.mark.parametrize(("number", "code"), [(0x5000, 0), (0x7FFF, 0), (0x8000, 400)])
def test_the_range_can_be_widened_to_rfc_5766s(number: int, code: int) -> None:
    client = Desk(Settings(realm=REALM, channel_numbers=CHANNEL_NUMBERS_RFC5766)).client()
    client.allocate()
    assert client.bind(number, PEER).code == code


def test_without_number_or_peer_it_is_400(client: Client) -> None:
    assert client.request(Method.CHANNEL_BIND, (NUMBER,)).code == 400
    assert client.with_peers(Method.CHANNEL_BIND, (), PEER).code == 400


def test_a_malformed_number_is_400(client: Client) -> None:
    short = ((Attribute.CHANNEL_NUMBER, b"\x40\x00"),)
    assert client.with_peers(Method.CHANNEL_BIND, short, PEER).code == 400


def test_port_zero_is_400(client: Client) -> None:
    assert client.bind(0x4000, Address(PEER.ip, 0)).code == 400


def test_the_other_family_is_443_and_a_refused_peer_403(client: Client) -> None:
    assert client.bind(0x4000, PEER_V6).code == 443
    assert client.bind(0x4000, Address.of("10.1.2.3", 5)).code == 403
    assert client.bind(0x4000, Address.of(RELAY_V4, 3478)).code == 403


def test_another_allocations_relayed_address_may_be_bound(client: Client) -> None:
    other = client.desk.client(40_001, "bob").allocate()
    relayed = other.address(Attribute.XOR_RELAYED_ADDRESS)
    changes = client.bind(0x4000, relayed).changes
    assert [getattr(change, "relayed_only", None) for change in changes] == [True, True]


def test_binding_the_same_pair_again_refreshes_it(client: Client) -> None:
    client.bind(0x4000, PEER)
    client.desk.pass_seconds(550)
    answer = client.bind(0x4000, PEER)
    assert answer.code == 0
    assert BindChannel(1, 0x4000, PEER, False, client.desk.now + 600 * SECOND) in answer.changes


def test_a_bound_number_is_not_bound_to_another_peer(client: Client) -> None:
    client.bind(0x4000, PEER)
    assert client.bind(0x4000, OTHER).code == 400


def test_a_bound_peer_is_not_bound_to_another_number(client: Client) -> None:
    client.bind(0x4000, PEER)
    assert client.bind(0x4001, PEER).code == 400


def test_two_ports_of_one_peer_are_two_channels(client: Client) -> None:
    assert client.bind(0x4000, PEER).code == 0
    assert client.bind(0x4001, Address(PEER.ip, PEER.port + 1)).code == 0


QUARANTINE = "number and peer of an expired channel rest for 300 seconds"


@clause("RFC 8656 §12", QUARANTINE, "src/ferryman/engine/channel.py")
@pytest.mark.parametrize(("number", "peer"), [(0x4000, OTHER), (0x4001, PEER)])
def test_number_and_peer_are_in_quarantine_for_300_s_after_expiry(
    number: int, peer: Address
) -> None:
    desk = Desk(nonce_lifetime=0)
    client = desk.client()
    client.allocate()
    client.refresh(3600)
    client.bind(0x4000, PEER)
    desk.pass_seconds(899.9)
    assert client.bind(number, peer).code == 400
    desk.pass_seconds(0.1)
    assert client.bind(number, peer).code == 0


def test_the_same_pair_may_come_back_during_the_quarantine() -> None:
    desk = Desk(nonce_lifetime=0)
    client = desk.client()
    client.allocate()
    client.refresh(3600)
    client.bind(0x4000, PEER)
    desk.pass_seconds(700)
    assert client.bind(0x4000, PEER).code == 0


def test_too_many_channels_are_508_until_the_old_ones_are_free() -> None:
    desk = Desk(Settings(realm=REALM, maximum_channels=2), nonce_lifetime=0)
    client = desk.client()
    client.allocate()
    client.refresh(3600)
    for number in range(2):
        assert client.bind(0x4000 + number, Address(PEER.ip, 1000 + number)).code == 0
    assert client.bind(0x4005, OTHER).code == 508
    desk.pass_seconds(900)
    assert client.bind(0x4005, OTHER).code == 0


def test_a_refused_bind_installs_no_permission(client: Client) -> None:
    client.bind(0x4000, PEER)
    assert not client.bind(0x4000, OTHER).changes
