"""max-bps in the flow table: native against fake, and both against the sentence that defines it."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.wire.channel_data import encode_channel_data
from tests.datapath.arena import CLIENTS, INSIDE, NOW, OUTSIDE, PEERS, PORTS, RELAYED, SOCKETS
from tests.datapath.twins import Twins

SECOND = 1_000_000_000
NEVER = 2**64 - 1
TO_PEER, TO_OTHER = 0x4000, 0x4001
RATES = (1, 1_000, 65_536, 200_000, 3_333_333)
LONGEST = 65_507


class Passed(NamedTuple):
    """A packet that was let through: who is charged for it, which way, when and how long."""

    way: tuple[int, str]
    now: int
    length: int


steps = st.lists(
    st.tuples(
        st.sampled_from(["to peer", "to the other", "from peer"]),
        st.sampled_from([0, 1, 1_200, 20_000, LONGEST]) | st.integers(0, LONGEST),
        st.sampled_from([0, 0, 1, 999_999, SECOND // 50, SECOND // 3, SECOND, 90 * SECOND]),
        st.sampled_from([0, 1]),
    ),
    max_size=60,
)


def twins_of(rates: tuple[int, int]) -> Twins:
    """Two clients, each with a channel to the peer and one to the other client."""
    twins = Twins()
    for n, rate in enumerate(rates):
        client, port, other = CLIENTS[n], PORTS[n], RELAYED[1 - n]
        twins.apply(1, n, client, INSIDE, port, OUTSIDE, port, NEVER, rate)
        for peer, number in ((PEERS[0], TO_PEER), (other, TO_OTHER)):
            twins.apply(4, n, peer.ip, peer is other, NEVER)
            twins.apply(5, n, number, *peer, peer is other, NEVER)
    return twins


def said(twins: Twins, client: int, number: int, length: int, now: int) -> tuple[str, ...]:
    message = encode_channel_data(number, bytes(length), padded=False)
    verdict = twins.from_client(CLIENTS[client], message, now)
    return verdict[:1] if verdict[0] != "drop" else verdict


def heard(twins: Twins, client: int, length: int, now: int) -> tuple[str, ...]:
    verdict = twins.from_peer(SOCKETS[client + 1], PEERS[0], bytes(length), now)
    return verdict[:1] if verdict[0] != "drop" else verdict


def run(twins: Twins, plan: list[tuple[str, int, int, int]]) -> list[Passed]:
    now, passed = NOW, []
    for kind, length, pause, client in plan:
        now += pause
        if kind == "from peer":
            if heard(twins, client, length, now) == ("client",):
                passed.append(Passed((client, "in"), now, length))
            continue
        number = TO_PEER if kind == "to peer" else TO_OTHER
        if said(twins, client, number, length, now)[0] != "drop":
            passed.append(Passed((client, "out"), now, length))
            if number == TO_OTHER:
                passed.append(Passed((1 - client, "in"), now, length))
    return passed


@given(plan=steps, rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)))
def test_in_no_window_passes_more_than_the_burst_and_what_came_in(
    plan: list[tuple[str, int, int, int]], rates: tuple[int, int]
) -> None:
    passed = run(twins_of(rates), plan)
    for way in {one.way for one in passed}:
        mine = [one for one in passed if one.way == way]
        rate = rates[way[0]]
        for first, last in combinations(range(len(mine)), 2):
            window = mine[first : last + 1]
            came_in = rate * (window[-1].now - window[0].now)
            allowed = max(rate, 65_536) * SECOND + came_in
            assert sum(one.length for one in window) * SECOND <= allowed


@pytest.mark.parametrize("rate", RATES)
def test_who_waits_long_enough_always_passes(rate: int) -> None:
    twins, now = twins_of((rate, rate)), NOW
    for _ in range(5):
        assert said(twins, 0, TO_PEER, LONGEST, now) == ("peer",)
        assert heard(twins, 0, LONGEST, now) == ("client",)
        now += -(-LONGEST * SECOND // rate)


@pytest.mark.parametrize("rate", RATES)
def test_the_burst_is_a_second_and_a_datagram_at_least_to_the_byte(rate: int) -> None:
    twins, left = twins_of((rate, rate)), max(rate, 65_536)
    while left:
        length = min(left, LONGEST)
        assert said(twins, 0, TO_PEER, length, NOW) == ("peer",)
        assert heard(twins, 0, length, NOW) == ("client",)
        left -= length
    assert said(twins, 0, TO_PEER, 1, NOW) == ("drop", "over_bandwidth")
    assert heard(twins, 0, 1, NOW) == ("drop", "over_bandwidth")


def test_every_way_out_has_the_same_bucket_and_the_way_in_another() -> None:
    twins = twins_of((100_000, 0))
    assert said(twins, 0, TO_PEER, 50_000, NOW) == ("peer",)
    assert said(twins, 0, TO_OTHER, 50_000, NOW) == ("client",)
    assert said(twins, 0, TO_PEER, 1, NOW) == ("drop", "over_bandwidth")
    assert said(twins, 0, TO_OTHER, 1, NOW) == ("drop", "over_bandwidth")
    assert heard(twins, 0, 50_000, NOW) == ("client",)
    assert said(twins, 1, TO_OTHER, 50_000, NOW) == ("client",)
    assert said(twins, 1, TO_OTHER, 1, NOW) == ("drop", "over_bandwidth")
    assert heard(twins, 0, 1, NOW) == ("drop", "over_bandwidth")


def test_what_the_receiver_cannot_carry_costs_the_sender_nothing_and_counts_as_its_drop() -> None:
    twins = twins_of((100_000, 65_536))
    assert heard(twins, 1, 65_000, NOW) == ("client",)
    assert said(twins, 0, TO_OTHER, 50_000, NOW) == ("drop", "over_bandwidth")
    assert said(twins, 0, TO_PEER, LONGEST, NOW) == ("peer",)
    assert twins.apply(3, 0) == (1, LONGEST, 0, 0, 1)
    assert twins.apply(3, 1) == (0, 0, 1, 65_000, 0)
