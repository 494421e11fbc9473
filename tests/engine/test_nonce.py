"""Nonces that servers share, which tell their time by a clock that they have in common."""

from __future__ import annotations

import pytest

from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.nonce import SKEW, Issued, Nonces
from ferryman.engine.offer import Offer
from ferryman.engine.settings import SECOND
from ferryman.wire.address import Address

CLIENT = FiveTuple(
    Transport.UDP, Address.of("203.0.113.9", 40_000), Address.of("192.0.2.1", 3478), 1
)
SECRET = b"of the fleet"
FRESH, STALE = Issued(Offer.EITHER, fresh=True), Issued(Offer.EITHER, fresh=False)


def test_servers_of_one_secret_take_each_others_nonces_whenever_they_were_started() -> None:
    one, other = Nonces(SECRET, 600, ahead=9_000 * SECOND), Nonces(SECRET, 600, ahead=100 * SECOND)
    nonce = one.issue(CLIENT, now=1_000 * SECOND)
    assert other.read_untrusted(nonce, CLIENT, now=9_900 * SECOND) == FRESH
    assert other.read_untrusted(nonce, CLIENT, now=10_499 * SECOND) == FRESH
    assert other.read_untrusted(nonce, CLIENT, now=10_500 * SECOND) == STALE


def test_another_secret_and_another_client_are_not_taken() -> None:
    nonce = Nonces(SECRET, 600).issue(CLIENT, now=0)
    assert Nonces(b"another", 600).read_untrusted(nonce, CLIENT, now=0) is None
    neighbour = CLIENT._replace(client=Address.of("203.0.113.9", 40_001))
    assert Nonces(SECRET, 600).read_untrusted(nonce, neighbour, now=0) is None
    # But the server that it was given at does not count.
    moved = CLIENT._replace(server=Address.of("192.0.2.2", 3478), socket=7)
    assert Nonces(SECRET, 600).read_untrusted(nonce, moved, now=0) == FRESH


@pytest.mark.parametrize(("early", "issued"), [(1, FRESH), (SKEW, FRESH), (SKEW + 1, STALE)])
def test_a_clock_may_be_a_little_behind(early: int, issued: Issued) -> None:
    nonces = Nonces(SECRET, 600)
    nonce = nonces.issue(CLIENT, now=(1_000 + early) * SECOND)
    assert nonces.read_untrusted(nonce, CLIENT, now=1_000 * SECOND) == issued


def test_seconds_begin_anew_without_a_break() -> None:
    last = (2**31 - 1) * SECOND
    nonces = Nonces(SECRET, 600)
    nonce = nonces.issue(CLIENT, now=last)
    assert nonces.read_untrusted(nonce, CLIENT, now=last + 599 * SECOND) == FRESH
    assert nonces.read_untrusted(nonce, CLIENT, now=last + 600 * SECOND) == STALE


def test_a_clock_that_is_set_keeps_secret_and_features() -> None:
    nonces = Nonces(SECRET, 600, anonymous_usernames=True)
    later = nonces.at(5 * SECOND)
    assert (later.cookie, later.key, later.lifetime) == (nonces.cookie, nonces.key, 600)
    nonce = nonces.issue(CLIENT, now=5 * SECOND)
    assert later.read_untrusted(nonce, CLIENT, now=0) == FRESH
    assert later.renewed(10, anonymous_usernames=True).ahead == 5 * SECOND
