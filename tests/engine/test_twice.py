"""Of an attribute that is there twice the first counts, whichever it is (RFC 8489 §14).

What one half of a server checks and the other half uses must be the same one.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ferryman.engine.changes import (
    BindChannel,
    Connect,
    ExtendAllocation,
    ExtendRelayed,
    Join,
    MoveAllocation,
    OpenAllocation,
    OpenTcpAllocation,
    Permit,
    Reply,
)
from ferryman.engine.connect import connected
from ferryman.engine.five_tuple import Transport
from ferryman.engine.settings import SECOND, Settings
from ferryman.engine.state import Outcome
from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    encode_channel_number,
    encode_even_port,
    encode_family,
    encode_requested_transport,
    encode_uint32,
    encode_xor_address,
)
from tests.answer import Answer
from tests.engine.desk import PEER, PEER_V6, REALM, UDP_TRANSPORT, Client, Desk
from tests.engine.roaming import allocated, on

Value = tuple[int, bytes]
ID = b"the same for"
"""Every request here has one transaction id, for what XOR-PEER-ADDRESS is made with."""

OTHER_PEER = Address.of("8.8.8.8", 53)
FORBIDDEN = Address.of("10.0.0.1", 53)
TICKETS = (Attribute.MOBILITY_TICKET, b"")


def desk() -> Desk:
    return Desk(Settings(realm=REALM, mobility=True))


def asked(client: Client, method: int, *attributes: Value) -> Outcome:
    packet = client.signed(method, attributes, transaction_id=ID)
    return client.desk.receive(client.five_tuple, packet)


def code(outcome: Outcome) -> int:
    """That of the answer; 0 for success and where the answer comes later."""
    replies = [change for change in outcome.changes if isinstance(change, Reply)]
    return Answer(decode_untrusted(replies[-1].message), b"").code if replies else 0


def in_xor(peer: Address) -> Value:
    return Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, ID)


def seconds(count: int) -> Value:
    return Attribute.LIFETIME, encode_uint32(count)


def family(number: int) -> Value:
    return Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(number)


def channel(number: int) -> Value:
    return Attribute.CHANNEL_NUMBER, encode_channel_number(number)


def transport(number: int) -> Value:
    return Attribute.REQUESTED_TRANSPORT, encode_requested_transport(number)


# What was decided, of a request with these two attributes in this order.


def opened(*two: Value) -> object:
    """An Allocate: relayed address, lifetime and code."""
    wish = () if two[0][0] == Attribute.REQUESTED_TRANSPORT else (UDP_TRANSPORT,)
    one = desk()
    outcome = asked(one.client(transport=Transport.TCP), Method.ALLOCATE, *wish, *two)
    kinds = (OpenAllocation, OpenTcpAllocation)
    found = [change for change in outcome.changes if isinstance(change, kinds)]
    told = [(type(it), it.advertised, (it.expires_at - one.now) // SECOND) for it in found]
    return told, len(one.state.reservations), code(outcome)


def with_ticket(*two: Value) -> object:
    one = desk()
    outcome = asked(one.client(), Method.ALLOCATE, UDP_TRANSPORT, *two)
    return [it.mobile.is_mobile for it in one.state.allocations], code(outcome)


def refreshed(*two: Value) -> object:
    client = desk().client()
    client.allocate((Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6)))
    outcome = asked(client, Method.REFRESH, *two)
    return [it for it in outcome.changes if isinstance(it, (ExtendAllocation, ExtendRelayed))], [
        it for it in outcome.changes if not isinstance(it, Reply)
    ]


def permitted(*two: Value) -> object:
    """The one request in which each of them counts (RFC 8656 §10)."""
    client = desk().client()
    client.allocate()
    outcome = asked(client, Method.CREATE_PERMISSION, *two)
    return {it.peer_ip for it in outcome.changes if isinstance(it, Permit)}, code(outcome)


def bound(*two: Value) -> object:
    client = desk().client()
    client.allocate()
    other = channel(0x4000) if two[0][0] == Attribute.XOR_PEER_ADDRESS else in_xor(PEER)
    outcome = asked(client, Method.CHANNEL_BIND, *two, other)
    found = [it for it in outcome.changes if isinstance(it, (BindChannel, Permit))]
    return found, code(outcome)


def reached(*two: Value) -> object:
    client = desk().client(transport=Transport.TCP)
    client.request(Method.ALLOCATE, (transport(6),))
    outcome = asked(client, Method.CONNECT, *two)
    return [it for it in outcome.changes if isinstance(it, Connect)], code(outcome)


CASES: dict[str, tuple[Callable[..., object], Value, Value]] = {
    "REQUESTED-TRANSPORT, UDP and TCP": (opened, transport(17), transport(6)),
    "REQUESTED-TRANSPORT, UDP and none": (opened, transport(17), transport(99)),
    "LIFETIME in Allocate": (opened, seconds(700), seconds(3000)),
    "LIFETIME in Allocate, malformed": (opened, seconds(700), (Attribute.LIFETIME, b"")),
    "EVEN-PORT": (
        opened,
        (Attribute.EVEN_PORT, encode_even_port(False)),
        (Attribute.EVEN_PORT, encode_even_port(True)),
    ),
    "REQUESTED-ADDRESS-FAMILY in Allocate": (opened, family(1), family(2)),
    "ADDITIONAL-ADDRESS-FAMILY": (
        opened,
        (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(2)),
        (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(1)),
    ),
    "MOBILITY-TICKET in Allocate": (with_ticket, TICKETS, (Attribute.MOBILITY_TICKET, b"x")),
    "LIFETIME in Refresh": (refreshed, seconds(700), seconds(3000)),
    "LIFETIME in Refresh, zero": (refreshed, seconds(0), seconds(3000)),
    "REQUESTED-ADDRESS-FAMILY in Refresh": (refreshed, family(1), family(2)),
    "CHANNEL-NUMBER": (bound, channel(0x4000), channel(0x4001)),
    "CHANNEL-NUMBER out of range": (bound, channel(0x4000), channel(0x7FFF)),
    "XOR-PEER-ADDRESS in ChannelBind": (bound, in_xor(PEER), in_xor(OTHER_PEER)),
    "XOR-PEER-ADDRESS in ChannelBind, forbidden": (bound, in_xor(PEER), in_xor(FORBIDDEN)),
    "XOR-PEER-ADDRESS in Connect": (reached, in_xor(PEER), in_xor(OTHER_PEER)),
    "XOR-PEER-ADDRESS in Connect, forbidden": (reached, in_xor(PEER), in_xor(FORBIDDEN)),
    "XOR-PEER-ADDRESS in Connect, another family": (reached, in_xor(PEER), in_xor(PEER_V6)),
}


@pytest.mark.parametrize(("ask", "one", "other"), CASES.values(), ids=CASES.keys())
def test_the_first_counts(ask: Callable[..., object], one: Value, other: Value) -> None:
    assert ask(one, other) == ask(one)
    assert ask(other, one) == ask(other)
    assert ask(one) != ask(other), "this case would show nothing"


def test_of_several_peers_to_permit_each_counts_and_one_that_is_forbidden_spoils_all() -> None:
    assert permitted(in_xor(PEER), in_xor(OTHER_PEER)) == ({PEER.ip, OTHER_PEER.ip}, 0)
    assert permitted(in_xor(PEER), in_xor(FORBIDDEN)) == (set(), 403)
    assert permitted(in_xor(FORBIDDEN), in_xor(PEER)) == (set(), 403)


def test_the_first_ticket_moves_and_a_second_one_does_not() -> None:
    for number, order in enumerate((1, -1)):
        one = desk()
        good = (Attribute.MOBILITY_TICKET, allocated(one.client()))
        bad = (Attribute.MOBILITY_TICKET, bytes(len(good[1])))
        outcome = asked(on(one, number), Method.REFRESH, *(good, bad)[::order])
        moves = [it for it in outcome.changes if isinstance(it, MoveAllocation)]
        assert (len(moves), code(outcome)) == ((1, 0) if order == 1 else (0, 400))


def test_the_first_token_is_redeemed_and_a_second_one_is_not() -> None:
    for order in (1, -1):
        one = desk()
        pair = one.client().allocate((Attribute.EVEN_PORT, encode_even_port(True)))
        good = (Attribute.RESERVATION_TOKEN, pair.message.first(Attribute.RESERVATION_TOKEN) or b"")
        bad = (Attribute.RESERVATION_TOKEN, bytes(8))
        two = (good, bad)[::order]
        outcome = asked(one.client(2), Method.ALLOCATE, UDP_TRANSPORT, *two)
        assert code(outcome) == (0 if order == 1 else 508)
        assert len(one.state.reservations) == (0 if order == 1 else 1)


def test_the_first_connection_id_is_bound_and_a_second_one_is_not() -> None:
    for order in (1, -1):
        one = desk()
        client = one.client(transport=Transport.TCP)
        client.request(Method.ALLOCATE, (transport(6),))
        asked(client, Method.CONNECT, in_xor(PEER))
        (reply,) = connected(one.state, 1, succeeded=True, now=one.now).changes
        assert isinstance(reply, Reply)
        value = decode_untrusted(reply.message).first(Attribute.CONNECTION_ID)
        assert value is not None
        good, bad = (Attribute.CONNECTION_ID, value), (Attribute.CONNECTION_ID, b"\xff" * 4)
        outcome = asked(
            one.client(2, transport=Transport.TCP), Method.CONNECTION_BIND, *(good, bad)[::order]
        )
        joined = [it for it in outcome.changes if isinstance(it, Join)]
        assert (len(joined), code(outcome)) == ((1, 0) if order == 1 else (0, 400))
