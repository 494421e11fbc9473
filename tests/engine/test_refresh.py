"""Refresh and the end of allocations: RFC 8656 §8.2, §5."""

from __future__ import annotations

import pytest

from ferryman.engine.changes import CloseAllocation, ExtendAllocation, Usage
from ferryman.engine.ending import disconnected, expire, stop, used
from ferryman.engine.journal import Closed, Ending, RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND
from ferryman.wire.address import Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_family, encode_uint32
from tests.conformance.clause import clause
from tests.engine.desk import Desk


@pytest.mark.parametrize(
    ("wish", "granted"), [(None, 600), (5, 600), (1200, 1200), (2**32 - 1, 3600)]
)
def test_refresh_extends_as_allocate_grants(wish: int | None, granted: int) -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    desk.pass_seconds(100)
    answer = client.refresh(wish)
    assert answer.lifetime == granted
    assert answer.changes == [ExtendAllocation(1, desk.now + granted * SECOND)]


def test_refresh_to_zero_closes_at_once() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    answer = client.refresh(0)
    assert (answer.code, answer.lifetime) == (0, 0)
    assert answer.changes == [CloseAllocation(1)]
    assert client.refresh().code == 437


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_an_allocation_a_request_is_437(method: Method) -> None:
    assert Desk().client().request(method).code == 437


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_another_username_on_the_5_tuple_is_441(method: Method) -> None:
    desk = Desk()
    desk.client().allocate()
    assert desk.client(username="bob").request(method).code == 441


def test_refresh_with_the_other_family_is_443() -> None:
    client = Desk().client()
    client.allocate()
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))
    assert client.request(Method.REFRESH, (family,)).code == 443
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV4))
    assert client.request(Method.REFRESH, (family,)).code == 0


def test_refresh_with_a_malformed_lifetime_is_400() -> None:
    client = Desk().client()
    client.allocate()
    answer = client.request(Method.REFRESH, ((Attribute.LIFETIME, b"\0"),))
    assert answer.code == 400
    entry = answer.journal[0]
    assert isinstance(entry, RefusedRequest)
    assert entry.refusal is Refusal.MALFORMED_ATTRIBUTE


@clause(
    "RFC 8656 §8",
    "an allocation is dead from the instant that its lifetime is over",
    "src/ferryman/engine/allocation.py",
)
def test_an_allocation_lives_to_the_nanosecond_before_its_expiry() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    desk.now += 600 * SECOND - 1
    assert not expire(desk.state, now=desk.now).changes
    client.challenge()
    assert client.refresh().code == 0
    desk.now += 600 * SECOND
    assert expire(desk.state, now=desk.now).changes == [CloseAllocation(1)]
    client.challenge()
    assert client.refresh().code == 437


def test_an_expired_allocation_is_not_refreshed_even_if_nobody_took_it_out() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    desk.pass_seconds(600)
    client.challenge()
    assert client.refresh().code == 437


@clause("RFC 8656 §8.2", "Refresh may bring the end forward", "src/ferryman/engine/refresh.py")
def test_a_shorter_refresh_brings_the_end_forward() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    client.refresh(3600)
    client.refresh(600)
    desk.pass_seconds(600)
    assert expire(desk.state, now=desk.now).changes == [CloseAllocation(1)]


def test_refreshing_ten_thousand_times_keeps_the_timetable_small() -> None:
    desk = Desk()
    client = desk.client()
    client.allocate()
    for wish in [3600, 600] * 5_000:
        client.refresh(wish)
        desk.now += SECOND // 1000
    assert len(desk.state.allocations._deadlines) < 10


@pytest.mark.parametrize("ending", [Ending.REFRESHED_TO_ZERO, Ending.EXPIRED, Ending.DISCONNECTED])
def test_the_closed_entry_waits_for_usage_and_frees_the_port(ending: Ending) -> None:
    desk = Desk()
    client = desk.client()
    relayed = client.allocate().address(Attribute.XOR_RELAYED_ADDRESS)
    desk.pass_seconds(12)
    if ending is Ending.REFRESHED_TO_ZERO:
        client.refresh(0)
    elif ending is Ending.DISCONNECTED:
        disconnected(desk.state, client.five_tuple, now=desk.now)
    else:
        desk.pass_seconds(588)
        expire(desk.state, now=desk.now)
    outcome = used(desk.state, 1, Usage(sent_packets=3))
    (entry,) = outcome.journal
    assert isinstance(entry, Closed)
    assert (entry.ending, entry.usage.sent_packets) == (ending, 3)
    assert entry.seconds == (600 if ending is Ending.EXPIRED else 12)
    assert [lease.advertised for lease in outcome.closed] == [relayed]
    assert not desk.state.closing


def test_usage_of_an_unknown_allocation_changes_nothing() -> None:
    outcome = used(Desk().state, 99, Usage())
    assert not outcome.journal
    assert not outcome.closed


def test_stopping_closes_every_allocation() -> None:
    desk = Desk()
    for port in range(5):
        desk.client(port).allocate()
    assert len(stop(desk.state, now=desk.now).changes) == 5
    assert len(desk.state.allocations) == 0


def test_the_table_is_empty_of_everything_after_a_thousand_clients() -> None:
    desk = Desk()
    for port in range(1, 1001):
        client = desk.client(port)
        client.allocate()
        client.refresh(0)
        used(desk.state, port, Usage())
    desk.pass_seconds(4000)
    expire(desk.state, now=desk.now)
    table = desk.state.allocations
    leftovers = (table._by_five_tuple, table._by_relayed, table._by_number, table._of_owner)
    assert not any(leftovers)
    assert not table._scheduled
    assert not table._deadlines


def test_a_deadline_that_came_back_to_what_it_was_is_met_once() -> None:
    desk = Desk()
    client = desk.client()
    lifetime = (Attribute.LIFETIME, encode_uint32(3600))
    client.allocate(lifetime)
    client.refresh(700)
    client.refresh(3600)  # at the same instant: one batch has one clock
    desk.pass_seconds(701)
    assert not expire(desk.state, now=desk.now).changes
    desk.pass_seconds(2900)
    assert expire(desk.state, now=desk.now).changes == [CloseAllocation(1)]
