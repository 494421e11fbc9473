"""Mobility: RFC 8016 §3.1.2, §3.2.2 and §5, a test for each sentence that binds a server."""

from __future__ import annotations

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.engine.changes import (
    CloseAllocation,
    ExtendAllocation,
    LeavePath,
    MoveAllocation,
)
from ferryman.engine.credential import Credential
from ferryman.engine.ending import disconnected, expire
from ferryman.engine.five_tuple import Transport
from ferryman.engine.handover import HANDOVER
from ferryman.engine.journal import Moved, MoveGivenUp, Moving, RefusedRequest
from ferryman.engine.mobility import moved
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.ticket import TICKET_LENGTH
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import decode_error_untrusted
from tests.conformance.clause import clause
from tests.engine.desk import PEER, REALM, Decided, Desk
from tests.engine.roaming import (
    ASKS_FOR_TICKET,
    allocated,
    mobile_desk,
    on,
    resume,
    ticket_in,
)


def refusal(answer: Decided) -> Refusal:
    (entry,) = [entry for entry in answer.journal if isinstance(entry, RefusedRequest)]
    return entry.refusal


# --- §3.1.2: Receiving an Allocate Request ---


def test_an_empty_ticket_in_allocate_gets_a_ticket_in_the_success_response() -> None:
    answer = mobile_desk().client().allocate(ASKS_FOR_TICKET)
    assert answer.code == 0
    assert len(ticket_in(answer)) == TICKET_LENGTH


def test_nobody_gets_a_ticket_who_did_not_ask() -> None:
    answer = mobile_desk().client().allocate()
    assert answer.code == 0
    assert answer.message.first(Attribute.MOBILITY_TICKET) is None


@clause("RFC 8016 §3.1", "where mobility is forbidden a ticket is 405", "MOBILITY_OFF")
def test_when_mobility_is_off_an_empty_ticket_in_allocate_is_405() -> None:
    answer = Desk().client().allocate(ASKS_FOR_TICKET)
    assert refusal(answer) is Refusal.MOBILITY_OFF
    error = answer.message.first(Attribute.ERROR_CODE)
    assert error is not None
    assert decode_error_untrusted(error) == (405, "Mobility Forbidden")
    assert not answer.changes


@pytest.mark.parametrize("mobility", [False, True])
def test_a_ticket_with_a_value_in_allocate_is_400(mobility: bool) -> None:
    desk = Desk(Settings(realm=REALM, mobility=mobility))
    answer = desk.client().allocate((Attribute.MOBILITY_TICKET, b"x"))
    assert (answer.code, refusal(answer)) == (400, Refusal.TICKET_IN_ALLOCATE)


@clause("RFC 8016 §5", "without authentication nobody moves", "MOBILITY_OF_ANYONE")
def test_without_authentication_there_is_no_mobility() -> None:
    """§5: client and server MUST use credentials, or not proceed with mobility."""
    desk = Desk(Settings(realm=REALM, mobility=True, authenticated=False))
    client = desk.client()
    client.nonce = b"not looked at"
    answer = client.allocate(ASKS_FOR_TICKET)
    assert (answer.code, refusal(answer)) == (405, Refusal.MOBILITY_OF_ANYONE)


def test_the_answer_with_a_ticket_fits_any_path() -> None:
    """§3.1.2: the path MTU is unknown (RFC 5389 §7.1: 548 octets over IPv4)."""
    answer = mobile_desk().client().allocate(ASKS_FOR_TICKET)
    assert len(answer.packet) < 300


# --- §3.2.2: Receiving a Refresh Request: what is refused ---


def test_when_mobility_is_forbidden_meanwhile_a_ticket_is_405() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    desk.state.settings = Settings(realm=REALM)
    answer = resume(on(desk, 1), ticket)
    assert (answer.code, refusal(answer)) == (405, Refusal.MOBILITY_OFF)


@pytest.mark.parametrize(
    "forged",
    [b"", b"\0", bytes(TICKET_LENGTH), bytes(TICKET_LENGTH - 1), bytes(64), bytes(1000)],
    ids=len,
)
def test_a_ticket_that_is_not_one_of_ours_is_400(forged: bytes) -> None:
    desk = mobile_desk()
    allocated(desk.client())
    answer = resume(on(desk, 1), forged)
    assert (answer.code, refusal(answer)) == (400, Refusal.INVALID_TICKET)
    assert not answer.changes


@clause("RFC 8016 §5", "a ticket is sealed: no bit of it can be changed", "INVALID_TICKET")
def test_a_ticket_with_any_bit_changed_is_400() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    roamer = on(desk, 1)
    for bit in range(8 * TICKET_LENGTH):
        forged = bytearray(ticket)
        forged[bit // 8] ^= 1 << bit % 8
        assert resume(roamer, bytes(forged)).code == 400


@clause("RFC 8016 §3.2", "a ticket of an allocation that is gone is 437", "NO_TICKETED_ALLOCATION")
def test_a_ticket_of_an_allocation_that_is_gone_is_437() -> None:
    desk = mobile_desk()
    client = desk.client()
    ticket = allocated(client)
    client.refresh(0)
    answer = resume(on(desk, 1), ticket)
    assert (answer.code, refusal(answer)) == (437, Refusal.NO_TICKETED_ALLOCATION)


def test_a_ticket_of_an_allocation_that_has_expired_is_437() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    desk.pass_seconds(600)
    assert resume(on(desk, 1), ticket).code == 437


def test_a_ticket_on_the_5_tuple_of_the_allocation_is_400() -> None:
    desk = mobile_desk()
    client = desk.client()
    answer = resume(client, allocated(client))
    assert (answer.code, refusal(answer)) == (400, Refusal.TICKET_WITHOUT_MOVE)
    assert client.refresh().code == 0, "without the ticket it is refreshed"


def test_a_ticket_of_another_user_is_441() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    answer = resume(on(desk, 1, "bob"), ticket)
    assert (answer.code, refusal(answer)) == (441, Refusal.TICKET_OF_ANOTHER)
    assert not answer.changes


def test_a_thief_does_not_learn_whether_the_allocation_lives() -> None:
    desk = mobile_desk()
    client = desk.client()
    ticket = allocated(client)
    newer = ticket_in(resume(on(desk, 1), ticket))
    answers = [resume(on(desk, 2, "bob"), stolen) for stolen in (ticket, newer)]
    client.refresh(0)
    answers += [resume(on(desk, 3, "bob"), stolen) for stolen in (ticket, newer)]
    assert {refusal(answer) for answer in answers} == {Refusal.TICKET_OF_ANOTHER}
    assert len({len(answer.packet) for answer in answers}) == 1


def test_a_client_with_an_access_token_moves_with_the_session_key_that_it_used_last() -> None:
    """RFC 7635: a token names no user, so the key stands for the client."""
    desk = mobile_desk()
    own, other = (
        Credential("kid", "kid", (long_term_key("alice", REALM, password),), seconds_left=600)
        for password in ("sesame", "other")
    )
    desk.credential = own
    ticket = allocated(desk.client())
    desk.credential = other
    roamer = on(desk, 1)
    stolen = roamer.signed(4, ((Attribute.MOBILITY_TICKET, ticket),), password="other")
    assert refusal(roamer.send(stolen)) is Refusal.TICKET_OF_ANOTHER
    desk.credential = None
    assert refusal(resume(roamer, ticket)) is Refusal.TICKET_OF_ANOTHER
    desk.credential = own
    assert resume(roamer, ticket).code == 0


def test_a_ticket_and_a_wrong_password_are_401() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    roamer = on(desk, 1)
    packet = roamer.signed(4, ((Attribute.MOBILITY_TICKET, ticket),), password="guess")
    assert roamer.send(packet).code == 401


def test_a_ticket_on_the_5_tuple_of_another_allocation_is_437() -> None:
    """RFC 8656 §5: no 5-tuple has two allocations."""
    desk = mobile_desk()
    ticket = allocated(desk.client())
    other = on(desk, 1)
    other.allocate()
    answer = resume(other, ticket)
    assert (answer.code, refusal(answer)) == (437, Refusal.PATH_TAKEN)


@clause("RFC 8656 §21.1.7", "no allocation is the client of another", "MOVE_TO_RELAYED")
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.DTLS])
def test_a_client_does_not_move_to_where_this_server_relays(transport: Transport) -> None:
    """RFC 8656 §21.1.7: the packets of two allocations that are each other's client have no end."""
    desk = mobile_desk()
    ticket = allocated(desk.client())
    inner = on(desk, 1)
    relayed = inner.allocate().address(Attribute.XOR_RELAYED_ADDRESS)
    through_it = on(desk, relayed.port, transport=transport, host=relayed.host)
    answer = resume(through_it, ticket)
    assert (answer.code, refusal(answer)) == (403, Refusal.MOVE_TO_RELAYED)
    inner.refresh(0)
    assert resume(through_it, ticket).code == 0


def test_a_refused_refresh_moves_nothing_and_uses_up_no_ticket() -> None:
    desk = mobile_desk()
    client = desk.client()
    ticket = allocated(client)
    roamer = on(desk, 1)
    malformed = ((Attribute.MOBILITY_TICKET, ticket), (Attribute.LIFETIME, b"\0"))
    assert roamer.request(4, malformed).code == 400
    assert len(desk.state.moving) == 0
    assert roamer.permit(PEER).code == 437
    assert resume(roamer, ticket).code == 0


# --- §3.2.2: what a good ticket does ---


def test_a_good_ticket_opens_a_second_path_and_gets_a_new_ticket() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    ticket = allocated(client)
    answer = resume(roamer, ticket, 1200)
    assert (answer.code, answer.lifetime) == (0, 1200)
    assert ticket_in(answer) != ticket
    assert answer.changes == [
        MoveAllocation(1, roamer.five_tuple, desk.now + HANDOVER),
        ExtendAllocation(1, desk.now + 1200 * SECOND),
    ]
    (entry,) = [entry for entry in answer.journal if isinstance(entry, Moving)]
    assert (entry.five_tuple, entry.before) == (roamer.five_tuple, client.five_tuple)


def test_requests_are_taken_on_the_old_path_until_the_client_has_moved() -> None:
    """The old 5-tuple is not discarded from the state."""
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    assert client.permit(PEER).code == 0
    assert client.allocate().code == 437, "the 5-tuple is in use"
    assert roamer.permit(PEER).code == 0
    assert client.permit(PEER).code == 437, "the client has moved"


def test_when_traffic_comes_on_the_new_path_the_old_one_is_forgotten() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    outcome = moved(desk.state, 1, roamer.five_tuple, now=desk.now)
    assert not outcome.changes, "the datapath knows it already"
    assert outcome.journal == [Moved(roamer.five_tuple, 1, "alice", client.five_tuple)]
    assert client.permit(PEER).code == 437
    assert roamer.permit(PEER).code == 0
    desk.now += HANDOVER
    assert not expire(desk.state, now=desk.now).changes


def test_the_old_5_tuple_may_have_another_allocation_after_the_move() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    moved(desk.state, 1, roamer.five_tuple, now=desk.now)
    assert client.allocate().code == 0
    assert len(desk.state.allocations) == 2
    roamer.refresh(0)
    assert client.refresh().code == 0


def test_when_the_old_connection_ends_the_client_is_on_the_new_path() -> None:
    desk = mobile_desk()
    client, roamer = on(desk, 9, transport=Transport.TCP), on(desk, 1)
    resume(roamer, allocated(client))
    outcome = disconnected(desk.state, client.five_tuple, now=desk.now)
    assert outcome.changes == [LeavePath(1, client.five_tuple)]
    assert roamer.permit(PEER).code == 0
    assert client.permit(PEER).code == 437


@clause(
    "RFC 8016 §3.2", "a retransmitted Refresh gets the same ticket", "src/ferryman/engine/mobile.py"
)
def test_the_old_ticket_is_good_for_a_retransmission() -> None:
    """Also where the answer is remembered no longer; the new ticket is the same."""
    desk = mobile_desk()
    roamer = on(desk, 1)
    ticket = allocated(desk.client())
    packet = roamer.signed(4, ((Attribute.MOBILITY_TICKET, ticket),))
    first = roamer.send(packet)
    assert roamer.send(packet).packet == first.packet
    desk.pass_seconds(29)
    again = resume(roamer, ticket)
    assert ticket_in(again) == ticket_in(first)
    assert not [change for change in again.changes if isinstance(change, MoveAllocation)]


def test_a_retransmission_is_recognised_after_the_move_as_well() -> None:
    """A server must recognise the old ticket for at least 30 seconds, over a stream too."""
    desk = mobile_desk()
    client = on(desk, 9, transport=Transport.TCP)
    roamer = on(desk, 10, transport=Transport.TCP)
    ticket = allocated(client)
    disconnected(desk.state, client.five_tuple, now=desk.now)
    first = resume(roamer, ticket)
    desk.now += HANDOVER - 1
    again = resume(roamer, ticket)
    assert ticket_in(again) == ticket_in(first)
    assert again.changes == [ExtendAllocation(1, desk.now + 600 * SECOND)]
    desk.now += 1
    assert refusal(resume(roamer, ticket)) is Refusal.TICKET_WITHOUT_MOVE


def test_the_old_ticket_is_good_for_nothing_else() -> None:
    """A client that wants yet another path MUST use the new ticket."""
    desk = mobile_desk()
    first, second = on(desk, 1), on(desk, 2)
    ticket = allocated(desk.client())
    newer = ticket_in(resume(first, ticket))
    answer = resume(second, ticket)
    assert (answer.code, refusal(answer)) == (400, Refusal.OLD_TICKET)
    assert resume(second, newer).code == 0


def test_the_old_ticket_is_discarded_when_the_client_has_moved() -> None:
    desk = mobile_desk()
    roamer = on(desk, 1)
    ticket = allocated(desk.client())
    newer = ticket_in(resume(roamer, ticket))
    moved(desk.state, 1, roamer.five_tuple, now=desk.now)
    assert refusal(resume(on(desk, 2), ticket)) is Refusal.OLD_TICKET
    desk.now += HANDOVER
    assert refusal(resume(roamer, ticket)) is Refusal.TICKET_WITHOUT_MOVE
    assert resume(on(desk, 2), newer).code == 0


def test_the_new_ticket_on_the_new_5_tuple_is_400() -> None:
    desk = mobile_desk()
    roamer = on(desk, 1)
    newer = ticket_in(resume(roamer, allocated(desk.client())))
    assert refusal(resume(roamer, newer)) is Refusal.TICKET_WITHOUT_MOVE


def test_a_ticket_and_a_lifetime_of_0_end_the_allocation() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    answer = resume(on(desk, 1), ticket, 0)
    assert (answer.code, answer.lifetime) == (0, 0)
    assert answer.changes == [CloseAllocation(1)]


@clause(
    "RFC 8016 §3.2",
    "permissions, channels and relayed address move along",
    "src/ferryman/engine/handover.py",
)
def test_permissions_channels_and_relayed_address_move_along() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1, transport=Transport.TCP)
    ticket = allocated(client)
    assert client.bind(0x4000, PEER).code == 0
    resume(roamer, ticket)
    moved(desk.state, 1, roamer.five_tuple, now=desk.now)
    assert roamer.bind(0x4001, PEER).code == 400, "the peer has its channel"
    assert roamer.bind(0x4000, PEER).code == 0
    assert len(desk.state.allocations) == 1


# --- what the RFC leaves open: time, second thoughts, lost connections ---


def test_a_client_that_is_not_heard_on_the_new_path_stays_on_the_old_one() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    ticket = allocated(client)
    newer = ticket_in(resume(roamer, ticket))
    desk.now += HANDOVER - 1
    assert not expire(desk.state, now=desk.now).changes
    desk.now += 1
    outcome = expire(desk.state, now=desk.now)
    assert outcome.changes == [LeavePath(1, roamer.five_tuple)]
    assert outcome.journal == [MoveGivenUp(roamer.five_tuple, 1, "alice")]
    assert client.permit(PEER).code == 0
    assert roamer.permit(PEER).code == 437
    # Whichever ticket the client has, the next move succeeds; the other one is used up by it.
    assert resume(on(desk, 2), ticket).code == 0
    assert resume(on(desk, 3), newer).code == 400


def test_the_new_path_is_dead_at_its_nanosecond_whether_or_not_it_was_taken_out() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    newer = ticket_in(resume(roamer, allocated(client)))
    desk.now += HANDOVER
    assert roamer.permit(PEER).code == 437
    again = resume(roamer, newer)
    assert again.changes[:2] == [
        LeavePath(1, roamer.five_tuple),
        MoveAllocation(1, roamer.five_tuple, desk.now + HANDOVER),
    ]
    desk.now += HANDOVER
    assert roamer.allocate().code == 0
    assert client.refresh().code == 0


def test_a_request_on_the_new_path_completes_the_move() -> None:
    """A client that only listens would hear nothing otherwise."""
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    answer = roamer.permit(PEER)
    assert answer.code == 0
    assert LeavePath(1, client.five_tuple) in answer.changes
    assert len(desk.state.moving) == 0


def test_a_refused_request_on_the_new_path_completes_it_too() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    assert roamer.request(Method.CREATE_PERMISSION).code == 400
    assert client.permit(PEER).code == 437


def test_a_second_resume_replaces_the_first() -> None:
    desk = mobile_desk()
    client, first, second = desk.client(), on(desk, 1), on(desk, 2)
    ticket = ticket_in(resume(first, allocated(client)))
    resume(second, ticket)
    assert first.permit(PEER).code == 437
    assert client.permit(PEER).code == 0
    assert len(desk.state.moving) == 1
    assert second.permit(PEER).code == 0


def test_a_thousand_chained_resumes_leave_no_more_behind_than_one() -> None:
    desk = mobile_desk()
    ticket = allocated(desk.client())
    for port in range(1, 1001):
        ticket = ticket_in(resume(on(desk, port), ticket))
    assert len(desk.state.moving) == 1
    assert len(desk.state.allocations) == 1
    assert len(desk.state.allocations._by_five_tuple) == 2


def test_the_allocation_of_a_mobile_client_outlives_its_connection() -> None:
    desk = mobile_desk()
    client, roamer = on(desk, 9, transport=Transport.TCP), on(desk, 1)
    ticket = allocated(client)
    assert not disconnected(desk.state, client.five_tuple, now=desk.now).changes
    desk.pass_seconds(599)
    answer = resume(roamer, ticket)
    assert answer.changes[:2] == [
        MoveAllocation(1, roamer.five_tuple, desk.now + HANDOVER),
        LeavePath(1, client.five_tuple),
    ], "there is nothing to wait for"
    assert roamer.permit(PEER).code == 0
    assert len(desk.state.moving) == 0


def test_but_not_its_lifetime() -> None:
    desk = mobile_desk()
    client = on(desk, 9, transport=Transport.TCP)
    ticket = allocated(client)
    disconnected(desk.state, client.five_tuple, now=desk.now)
    desk.pass_seconds(600)
    assert expire(desk.state, now=desk.now).changes == [CloseAllocation(1)]
    assert resume(on(desk, 1), ticket).code == 437


def test_the_quota_counts_an_allocation_that_may_still_be_resumed() -> None:
    desk = Desk(Settings(realm=REALM, mobility=True, user_quota=1))
    client, roamer = on(desk, 9, transport=Transport.TCP), on(desk, 1)
    ticket = allocated(client)
    disconnected(desk.state, client.five_tuple, now=desk.now)
    assert on(desk, 10, transport=Transport.TCP).allocate(ASKS_FOR_TICKET).code == 486
    assert resume(roamer, ticket).code == 0, "and counts it once"
    roamer.refresh(0)
    assert on(desk, 10, transport=Transport.TCP).allocate(ASKS_FOR_TICKET).code == 0


def test_when_the_new_connection_ends_the_client_stays_on_the_old_path() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 9, transport=Transport.TCP)
    ticket = allocated(client)
    resume(roamer, ticket)
    outcome = disconnected(desk.state, roamer.five_tuple, now=desk.now)
    assert outcome.changes == [LeavePath(1, roamer.five_tuple)]
    assert client.permit(PEER).code == 0
    assert resume(on(desk, 2), ticket).code == 0, "the answer may have been lost with it"


def test_a_client_without_a_ticket_loses_its_allocation_with_its_connection() -> None:
    desk = mobile_desk()
    client = on(desk, 9, transport=Transport.TCP)
    client.allocate()
    assert disconnected(desk.state, client.five_tuple, now=desk.now).changes == [CloseAllocation(1)]


def test_a_move_that_the_datapath_saw_after_it_was_given_up_counts() -> None:
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    desk.now += HANDOVER
    expire(desk.state, now=desk.now)
    moved(desk.state, 1, roamer.five_tuple, now=desk.now)
    assert roamer.permit(PEER).code == 0
    assert client.permit(PEER).code == 437


def test_a_move_seen_after_another_one_began_counts_and_the_other_goes_on() -> None:
    desk = mobile_desk()
    client, first, second = desk.client(), on(desk, 1), on(desk, 2)
    ticket = ticket_in(resume(first, allocated(client)))
    resume(second, ticket)
    moved(desk.state, 1, first.five_tuple, now=desk.now)
    assert client.permit(PEER).code == 437
    assert first.permit(PEER).code == 0
    assert second.permit(PEER).code == 0


def test_a_move_to_a_5_tuple_that_another_allocation_has_meanwhile_ends_the_one_that_moved() -> (
    None
):
    desk = mobile_desk()
    client, roamer = desk.client(), on(desk, 1)
    resume(roamer, allocated(client))
    desk.now += HANDOVER
    expire(desk.state, now=desk.now)
    roamer.allocate()
    assert moved(desk.state, 1, roamer.five_tuple, now=desk.now).changes == [CloseAllocation(1)]
    assert roamer.refresh().code == 0


def test_a_move_of_an_unknown_allocation_changes_nothing() -> None:
    desk = mobile_desk()
    outcome = moved(desk.state, 7, on(desk, 1).five_tuple, now=desk.now)
    assert not outcome.changes
    assert not outcome.journal
