"""Mobility (RFC 8016 §3.1.2, §3.2.2): who gets a ticket, and which ticket moves an allocation.

What moving means for the two 5-tuples is `handover`'s to know.
"""

from __future__ import annotations

from ferryman.engine import handover
from ferryman.engine.allocation import Allocation
from ferryman.engine.credential import Credential
from ferryman.engine.ending import close, make_way
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import Ending
from ferryman.engine.mobile import Mobile
from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.state import Exchange, Outcome, State
from ferryman.engine.ticket import Ticket
from ferryman.engine.tunnelled import check_client
from ferryman.wire.errors import Malformed
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute

Attributes = tuple[tuple[int, bytes], ...]


def wanted(state: State, message: Message) -> Mobile:
    """With a first ticket when the Allocate asks for one; raises Refused (RFC 8016 §3.1.2)."""
    value = message.first(Attribute.MOBILITY_TICKET)
    if value is None:
        return Mobile()
    if value:
        raise Refused(Refusal.TICKET_IN_ALLOCATE, f"{len(value)} octets")
    _check_allowed(state)
    return Mobile(newest=1)


def ticketed(state: State, exchange: Exchange, value: bytes) -> Allocation:
    """The allocation that the ticket in a Refresh names; raises Refused (RFC 8016 §3.2.2).

    The owner is checked before anything is looked up: to any other user the answer is the same
    whether or not the allocation lives.
    """
    _check_allowed(state)
    ticket = _opened(state, value)
    if not ticket.belongs_to(_name(exchange.credential)):
        raise Refused(Refusal.TICKET_OF_ANOTHER)
    allocation = state.allocations.numbered(ticket.allocation)
    if allocation is None or allocation.expires_at <= exchange.now:
        raise Refused(Refusal.NO_TICKETED_ALLOCATION)
    if not _is_the_same_client(exchange, allocation):
        raise Refused(Refusal.TICKET_OF_ANOTHER)
    handover.settle(state, allocation, exchange.outcome, now=exchange.now)
    _check_path(state, exchange, allocation, ticket)
    return allocation


def move(state: State, exchange: Exchange, allocation: Allocation, value: bytes) -> Attributes:
    """Let the client move to the 5-tuple it asks from; MOBILITY-TICKET for the answer."""
    path, outcome, now = exchange.five_tuple, exchange.outcome, exchange.now
    serial = _opened(state, value).serial
    if not allocation.mobile.repeats(serial, path, now=now):
        make_way(state, path, outcome, now=now)
        handover.begin(state, allocation, path, outcome, ticket=serial, now=now)
    return ticket_attribute(state, exchange, allocation)


def ticket_attribute(state: State, exchange: Exchange, allocation: Allocation) -> Attributes:
    """MOBILITY-TICKET with the newest ticket; nothing for an allocation that is not mobile."""
    if not allocation.mobile.is_mobile:
        return ()
    name = _name(exchange.credential)
    ticket = state.tickets.seal(allocation.number, allocation.mobile.newest, name)
    return ((Attribute.MOBILITY_TICKET, ticket),)


def moved(state: State, number: int, path: FiveTuple, *, now: int) -> Outcome:
    """The datapath has seen traffic on the new path, and sends there from now on."""
    outcome = Outcome()
    allocation = state.allocations.numbered(number)
    if allocation is None or allocation.five_tuple == path:
        return outcome
    if state.allocations.holding(path) in (None, allocation):
        handover.arrive(state, allocation, path, outcome)
    else:
        # Given up here in the same instant, and another allocation has been made there since.
        close(state, allocation, Ending.DISCONNECTED, outcome, now=now)
    return outcome


def _check_allowed(state: State) -> None:
    if not state.settings.mobility:
        raise Refused(Refusal.MOBILITY_OFF)
    if not state.settings.authenticated:
        raise Refused(Refusal.MOBILITY_OF_ANYONE)


def _name(credential: Credential) -> str:
    """Who a ticket belongs to; access tokens name nobody (RFC 7635)."""
    return "token" if credential.is_third_party else f"user {credential.username}"


def _is_the_same_client(exchange: Exchange, allocation: Allocation) -> bool:
    """The same user; of a third party's clients, the one with the session key last used."""
    grant = allocation.grant
    same_key = grant is None or not set(grant.keys).isdisjoint(exchange.credential.keys)
    return same_key and exchange.owns(allocation)


def _check_path(state: State, exchange: Exchange, allocation: Allocation, ticket: Ticket) -> None:
    """From another path with a good ticket, or a retransmission (RFC 8016 §3.2.2)."""
    mobile = allocation.mobile
    path = exchange.five_tuple
    if path in allocation.paths:
        if mobile.repeats(ticket.serial, path, now=exchange.now):
            return
        raise Refused(Refusal.TICKET_WITHOUT_MOVE)
    if not mobile.accepts(ticket.serial):
        raise Refused(Refusal.OLD_TICKET, f"number {ticket.serial}, the newest is {mobile.newest}")
    check_client(path)
    other = state.allocations.of(path, now=exchange.now)
    if other is not None:
        raise Refused(Refusal.PATH_TAKEN, f"allocation {other.number}")
    _check_loop(state, path, now=exchange.now)


def _check_loop(state: State, path: FiveTuple, *, now: int) -> None:
    """Two allocations that are each other's client would pass a packet on without end."""
    transport = Transport.TCP if path.transport.is_stream else Transport.UDP
    relay = state.allocations.relaying(transport, path.client, now=now)
    if relay is not None:
        raise Refused(Refusal.MOVE_TO_RELAYED, f"{path.client} of allocation {relay.number}")


def _opened(state: State, value: bytes) -> Ticket:
    try:
        return state.tickets.open_untrusted(value)
    except Malformed as malformed:
        raise Refused(Refusal.INVALID_TICKET, str(malformed)) from malformed
