"""Mobility: RFC 8016."""

from __future__ import annotations

import pytest

from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_uint32
from tests.conformance.clause import clause
from tests.conformance.conftest import Connect
from tests.conformance.subject import Subject
from tests.turn_client import Peer, TurnClient

MOBILITY = "src/ferryman/engine/mobility.py"
TABLE = "native/flow/src/table/packets.rs"
WANTED = (Attribute.MOBILITY_TICKET, b"")


def ticket_of(client: TurnClient) -> bytes:
    answer = client.allocate(WANTED)
    assert answer.code == 0
    ticket = answer.message.first(Attribute.MOBILITY_TICKET)
    assert ticket
    return ticket


def resume(client: TurnClient, ticket: bytes, *, lifetime: int = 600) -> tuple[int, bytes]:
    """The code of the answer and the new ticket in it."""
    attributes = (
        (Attribute.LIFETIME, encode_uint32(lifetime)),
        (Attribute.MOBILITY_TICKET, ticket),
    )
    answer = client.request(Method.REFRESH, attributes)
    if answer.code == 438:  # the nonce of another method may not serve
        client.nonce = answer.message.first(Attribute.NONCE) or b""
        answer = client.request(Method.REFRESH, attributes)
    return answer.code, answer.message.first(Attribute.MOBILITY_TICKET) or b""


@clause("RFC 8016 §3.1", "an empty MOBILITY-TICKET in Allocate asks for a ticket", MOBILITY)
def test_a_ticket_is_given(client: TurnClient) -> None:
    assert ticket_of(client)


@clause("RFC 8016 §3.1", "without MOBILITY-TICKET in Allocate there is no ticket", MOBILITY)
def test_no_ticket_is_given_unasked(client: TurnClient) -> None:
    assert client.allocate().message.first(Attribute.MOBILITY_TICKET) is None


@clause("RFC 8016 §3.2", "Refresh with the ticket moves the allocation to a new 5-tuple", MOBILITY)
@pytest.mark.parametrize("stream", [False, True], ids=["udp to udp", "udp to tcp"])
def test_an_allocation_moves(connect: Connect, peer: Peer, stream: bool) -> None:
    before, after = connect(), connect(stream=stream)
    answer = before.allocate(WANTED)
    ticket = answer.message.first(Attribute.MOBILITY_TICKET) or b""
    relayed = answer.address(Attribute.XOR_RELAYED_ADDRESS)
    before.bind(0x4000, peer.address)
    code, fresh = resume(after, ticket)
    assert code == 0
    assert fresh not in (b"", ticket)
    after.send_on(0x4000, b"from the new path")
    assert peer.receive() == (b"from the new path", relayed)
    peer.send(relayed, b"to the new path")
    assert after.receive_channel() == (0x4000, b"to the new path")
    assert before.is_silent()


@clause("RFC 8016 §3.2", "the old path carries data until the new one is used", TABLE)
def test_both_paths_live_during_the_hand_over(connect: Connect, peer: Peer) -> None:
    before, after = connect(), connect()
    answer = before.allocate(WANTED)
    ticket = answer.message.first(Attribute.MOBILITY_TICKET) or b""
    relayed = answer.address(Attribute.XOR_RELAYED_ADDRESS)
    before.bind(0x4000, peer.address)
    assert resume(after, ticket)[0] == 0
    before.send_on(0x4000, b"still on its way")
    assert peer.receive() == (b"still on its way", relayed)
    peer.send(relayed, b"on the path that is known")
    assert before.receive_channel() == (0x4000, b"on the path that is known")
    assert after.is_silent()


@clause("RFC 8016 §3.2", "a ticket that is not known is refused", "INVALID_TICKET")
@pytest.mark.parametrize("ticket", [b"x", b"invented" * 8])
def test_an_invented_ticket_is_refused(client: TurnClient, ticket: bytes) -> None:
    assert resume(client, ticket)[0] in (400, 437)


@clause("RFC 8016 §3.2", "a ticket is of no use to another user", "TICKET_OF_ANOTHER")
def test_a_stolen_ticket_is_refused(connect: Connect, subject: Subject, peer: Peer) -> None:
    owner, thief = connect(), connect(account=subject.other_account())
    answer = owner.allocate(WANTED)
    ticket = answer.message.first(Attribute.MOBILITY_TICKET) or b""
    assert resume(thief, ticket)[0] in (400, 437, 441)
    owner.bind(0x4000, peer.address)
    owner.send_on(0x4000, b"mine")
    assert peer.receive()[0] == b"mine"


@clause("RFC 8016 §3.2", "after a move the old ticket is void", "OLD_TICKET")
def test_a_ticket_is_used_up(connect: Connect, peer: Peer) -> None:
    first, second, third = connect(), connect(), connect()
    ticket = ticket_of(first)
    assert resume(second, ticket)[0] == 0
    second.bind(0x4000, peer.address)
    second.send_on(0x4000, b"moved")
    peer.receive()
    assert resume(third, ticket)[0] in (400, 437)


@clause(
    "RFC 8016 §3.2", "Refresh with lifetime 0 from the new 5-tuple ends the allocation", MOBILITY
)
def test_the_new_path_may_end_it(connect: Connect, peer: Peer) -> None:
    before, after = connect(), connect()
    ticket = ticket_of(before)
    code, _ = resume(after, ticket)
    assert code == 0
    assert after.refresh(0).code == 0
    assert after.refresh(600).code == 437


@clause("RFC 8016 §3.1", "MOBILITY-TICKET in Allocate is empty", "TICKET_IN_ALLOCATE")
def test_a_ticket_is_asked_for_with_an_empty_one(client: TurnClient) -> None:
    assert client.allocate((Attribute.MOBILITY_TICKET, b"mine")).code == 400


@clause("RFC 8016 §3.2", "a new 5-tuple that has an allocation is 437", "PATH_TAKEN")
def test_the_new_path_has_no_allocation(connect: Connect) -> None:
    before, after = connect(), connect()
    ticket = ticket_of(before)
    after.relayed()
    assert resume(after, ticket)[0] == 437
