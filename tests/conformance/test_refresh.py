"""Refresh and how allocations end: RFC 8656 §8.2, §3.2, §5."""

from __future__ import annotations

import pytest

from ferryman.wire.address import Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_family, encode_uint32
from tests.conformance.clause import ENDING, LIFETIME, REFRESH, clause
from tests.conformance.conftest import Connect
from tests.turn_client import Peer, TurnClient


@clause("RFC 8656 §8.2", "Refresh grants lifetimes as Allocate does", LIFETIME)
@pytest.mark.parametrize(("asked", "granted"), [(5, 600), (1800, 1800), (2**32 - 1, 3600)])
def test_refresh_grants_a_lifetime(client: TurnClient, asked: int, granted: int) -> None:
    client.relayed()
    assert client.refresh(asked).lifetime == granted


@clause("RFC 8656 §8.2", "Refresh without LIFETIME gets the default", LIFETIME)
def test_refresh_needs_no_lifetime(client: TurnClient) -> None:
    client.relayed()
    assert client.request(Method.REFRESH).lifetime == 600


@clause("RFC 8656 §8.2", "Refresh with lifetime 0 ends the allocation at once", REFRESH)
def test_refresh_to_zero_ends_it(client: TurnClient, peer: Peer) -> None:
    relayed = client.relayed()
    client.permit(peer.address)
    answer = client.refresh(0)
    assert (answer.code, answer.lifetime) == (0, 0)
    peer.send(relayed, b"too late")
    client.send_to(peer.address, b"too late")
    assert client.is_silent()
    assert peer.is_silent()
    assert client.refresh(0).code == 437


@clause("RFC 8656 §8.2", "a retransmitted Refresh to zero gets its success again", ENDING)
def test_a_repeated_farewell_is_a_success(client: TurnClient) -> None:
    client.relayed()
    farewell = client.signed(Method.REFRESH, ((Attribute.LIFETIME, encode_uint32(0)),))
    assert [client.ask(farewell).code for _ in range(2)] == [0, 0]


@clause("RFC 8656 §8.2", "REQUESTED-ADDRESS-FAMILY must be the allocation's: 443", "REFRESH_FAMILY")
def test_refresh_of_the_other_family_is_a_mismatch(client: TurnClient) -> None:
    client.relayed()
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))
    assert client.request(Method.REFRESH, (family,)).code == 443


@clause("RFC 8656 §8.2", "one family of a dual allocation can be given up", REFRESH)
def test_one_family_can_be_given_up(client: TurnClient) -> None:
    additional = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6))
    assert client.allocate(additional).code == 0
    family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(Family.IPV6))
    nothing = (Attribute.LIFETIME, encode_uint32(0))
    assert client.request(Method.REFRESH, (family, nothing)).code == 0
    assert client.request(Method.REFRESH, (family,)).code == 443
    assert client.refresh(600).code == 0


@clause("RFC 8656 §3.1", "an allocation ends with its client's TCP connection", ENDING)
def test_the_allocation_ends_with_the_connection(connect: Connect, peer: Peer) -> None:
    client = connect(stream=True)
    relayed = client.relayed()
    client.permit(peer.address)
    client.socket.close()
    follower = connect()
    follower.relayed()
    follower.permit(peer.address)
    follower.send_to(peer.address, b"ping")  # by its answer, the server has seen the close
    peer.receive()
    peer.send(relayed, b"anyone?")
    assert peer.is_silent()
