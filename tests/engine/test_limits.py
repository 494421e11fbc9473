"""What one client may have: quotas by source, promised bandwidth, caps inside an allocation."""

from __future__ import annotations

import pytest

from ferryman.engine.changes import BindChannel, ExtendAllocation, OpenAllocation, Permit
from ferryman.engine.ending import expire
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.source import source_of, source_text
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute
from ferryman.wire.values import encode_even_port
from tests.conformance.clause import clause
from tests.engine.desk import PEER, REALM, Decided, Desk

EVEN_AND_NEXT = (Attribute.EVEN_PORT, encode_even_port(True))


def desk_with(**settings: int) -> Desk:
    return Desk(Settings(realm=REALM, **settings))  # type: ignore[arg-type]


def refusal(answer: Decided) -> tuple[Refusal, str]:
    (entry,) = answer.journal
    assert isinstance(entry, RefusedRequest)
    return entry.refusal, entry.detail


def token_of(answer: Decided) -> tuple[int, bytes]:
    token = answer.message.first(Attribute.RESERVATION_TOKEN)
    assert token is not None
    return (Attribute.RESERVATION_TOKEN, token)


@pytest.mark.parametrize(
    ("ip", "text"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_network(ip: str, text: str) -> None:
    assert source_text(source_of(Address.of(ip, 0).ip)) == text


def test_source_quota_counts_one_address_whoever_the_user_is() -> None:
    desk = desk_with(source_quota=2)
    first = desk.client(1)
    assert [first.allocate().code, desk.client(2, "bob").allocate().code] == [0, 0]
    answer = desk.client(3).allocate()
    assert answer.code == 486
    assert refusal(answer) == (Refusal.SOURCE_QUOTA, "source-quota=2 for 203.0.113.9")
    assert desk.client(3, host="203.0.113.10").allocate().code == 0
    first.refresh(0)
    assert desk.client(3).allocate().code == 0


def test_source_quota_counts_an_ipv6_network_of_64_as_one() -> None:
    desk = desk_with(source_quota=1)
    assert desk.client(1, host="2001:db8:0:1::1").allocate().code == 0
    answer = desk.client(1, host="2001:db8:0:1:ffff::2").allocate()
    assert refusal(answer) == (Refusal.SOURCE_QUOTA, "source-quota=1 for 2001:db8:0:1::/64")
    assert desk.client(1, host="2001:db8:0:2::1").allocate().code == 0


def test_an_allocation_that_expired_counts_against_no_source() -> None:
    desk = desk_with(source_quota=1)
    client = desk.client(1)
    client.allocate()
    desk.pass_seconds(600)
    client.challenge()
    expire(desk.state, now=desk.now)
    assert client.allocate().code == 0
    assert desk.state.allocations.opened_from(source_of(client.five_tuple.client.ip)) == 1


def test_what_an_allocation_may_carry_goes_down_with_it() -> None:
    opened = desk_with(bytes_per_second=12_345).client().allocate().changes[0]
    assert isinstance(opened, OpenAllocation)
    assert opened.bytes_per_second == 12_345


def test_bps_capacity_is_promised_in_portions_and_comes_back() -> None:
    desk = desk_with(bytes_per_second=1_000, capacity=2_999)
    first = desk.client(1)
    assert [first.allocate().code, desk.client(2, "bob").allocate().code] == [0, 0]
    answer = desk.client(3).allocate()
    assert answer.code == 486
    assert refusal(answer) == (Refusal.CAPACITY, "bps-capacity=2999")
    first.refresh(0)
    assert desk.client(3).allocate().code == 0
    assert desk.state.allocations.promised == 2_000


def test_a_capacity_that_divides_evenly_is_used_up_to_the_last_byte() -> None:
    desk = desk_with(bytes_per_second=1_000, capacity=2_000)
    codes = [desk.client(port).allocate().code for port in (1, 2, 3)]
    assert codes == [0, 0, 486]


def test_a_reserved_port_is_promised_its_portion_until_it_is_redeemed() -> None:
    desk = desk_with(bytes_per_second=1_000, capacity=2_000)
    token = token_of(desk.client(1).allocate(EVEN_AND_NEXT))
    assert desk.client(2).allocate().code == 486
    assert desk.client(2).allocate(token).code == 0
    assert desk.client(3).allocate().code == 486
    assert (
        desk_with(bytes_per_second=1_000, capacity=1_999).client().allocate(EVEN_AND_NEXT).code
        == 486
    )


def test_capacity_without_max_bps_limits_nothing() -> None:
    desk = desk_with(capacity=1)
    assert [desk.client(port).allocate().code for port in range(1, 20)] == [0] * 19


def test_what_was_promised_before_a_reload_stays_promised() -> None:
    desk = desk_with(bytes_per_second=1_000, capacity=3_000)
    desk.client(1).allocate()
    desk.state.settings = Settings(realm=REALM, bytes_per_second=2_500, capacity=3_000)
    assert desk.client(2).allocate().code == 486
    desk.state.settings = Settings(realm=REALM, bytes_per_second=2_000, capacity=3_000)
    assert desk.client(2).allocate().code == 0


def peers(count: int) -> list[Address]:
    return [Address.of(f"8.8.{n // 250}.{n % 250 + 1}", 5000) for n in range(count)]


@clause(
    "RFC 8656 §10.2", "an allocation has so many permissions and then 508", "TOO_MANY_PERMISSIONS"
)
def test_permissions_of_an_allocation_are_limited_and_refreshing_one_needs_no_room() -> None:
    client = desk_with(maximum_permissions=3).client()
    client.allocate()
    one, two, three, four = peers(4)
    assert client.permit(one, two).code == 0
    answer = client.permit(three, four)
    assert (answer.code, answer.changes) == (508, [])
    assert refusal(answer) == (Refusal.TOO_MANY_PERMISSIONS, "3 are installed")
    assert client.permit(one, two, three).code == 0
    assert client.permit(four).code == 508
    client.desk.pass_seconds(300)
    assert client.permit(four).code == 0


@clause("RFC 8656 §12.2", "an allocation has so many channels and then 508", "TOO_MANY_CHANNELS")
def test_channels_of_an_allocation_are_limited_and_refreshing_one_needs_no_room() -> None:
    client = desk_with(maximum_channels=2).client()
    client.allocate()
    one, two, three = peers(3)
    assert [client.bind(0x4000, one).code, client.bind(0x4001, two).code] == [0, 0]
    answer = client.bind(0x4002, three)
    assert (answer.code, answer.changes) == (508, [])
    assert refusal(answer) == (Refusal.TOO_MANY_CHANNELS, "2 are bound")
    assert client.bind(0x4000, one).code == 0


def test_a_thousand_peers_are_within_the_default() -> None:
    client = Desk().client()
    client.allocate()
    assert client.permit(*peers(100)).code == 0
    for start in range(0, 1_000, 100):
        assert client.permit(*peers(1_025)[start : start + 100]).code == 0
    assert client.permit(*peers(1_025)[1_000:1_024]).code == 0
    assert client.permit(peers(1_025)[1_024]).code == 508


def test_lifetimes_are_the_configured_ones() -> None:
    settings = {"maximum_lifetime": 700, "permission_lifetime": 20, "channel_lifetime": 30}
    client = desk_with(**settings).client()
    now = client.desk.now
    assert client.allocate().lifetime == 600
    answer = client.refresh(10_000)
    assert answer.lifetime == 700
    assert answer.changes == [ExtendAllocation(1, now + 700 * SECOND)]
    assert client.permit(PEER).changes == [Permit(1, PEER.ip, False, now + 20 * SECOND)]
    assert client.bind(0x4000, PEER).changes == [
        Permit(1, PEER.ip, False, now + 20 * SECOND),
        BindChannel(1, 0x4000, PEER, False, now + 30 * SECOND),
    ]
