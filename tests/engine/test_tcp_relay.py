"""TCP allocations and their connections: RFC 6062 §5, sentence by sentence."""

from __future__ import annotations

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.engine.changes import (
    CloseAllocation,
    CloseConnection,
    Connect,
    Join,
    OpenTcpAllocation,
    Permit,
    Reply,
)
from ferryman.engine.connect import connected
from ferryman.engine.connection_attempt import attempted
from ferryman.engine.ending import disconnected, expire
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import ConnectionBound, ConnectionEnded, RefusedRequest
from ferryman.engine.peer_connection import CONNECTIONS_OF_ALLOCATION
from ferryman.engine.peer_connection_ending import ended
from ferryman.engine.peer_rules import PeerPolicy, PeerRules
from ferryman.engine.settings import Settings
from ferryman.engine.state import Outcome
from ferryman.wire.address import Address
from ferryman.wire.message import Message, decode_untrusted
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    decode_error_untrusted,
    decode_xor_address_untrusted,
    encode_even_port,
    encode_requested_transport,
    encode_xor_address,
)
from tests.conformance.clause import clause
from tests.engine.desk import PASSWORDS, PEER, PEER_V6, REALM, RELAY_V4, Client, Decided, Desk

TCP = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6))
UDP = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(17))
ARRIVAL = 2**32 + 1

streams = pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
datagrams = pytest.mark.parametrize("transport", [Transport.UDP, Transport.DTLS])


def control(desk: Desk, port: int = 40_000, username: str = "alice") -> Client:
    """A client with a TCP allocation."""
    client = desk.client(port, username, transport=Transport.TCP)
    assert client.request(Method.ALLOCATE, (TCP,)).code == 0
    return client


def connect(client: Client, peer: Address = PEER) -> Outcome:
    """What a Connect request leads to, whether it is answered at once or not."""
    transaction_id = client.transaction_id()
    value = (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id))
    packet = client.signed(Method.CONNECT, (value,), transaction_id=transaction_id)
    return client.desk.receive(client.five_tuple, packet)


def refused(outcome: Outcome) -> int:
    """The error code of the only answer."""
    value = answered(outcome).first(Attribute.ERROR_CODE)
    assert value is not None
    return decode_error_untrusted(value)[0]


def answered(outcome: Outcome) -> Message:
    (reply,) = (change for change in outcome.changes if isinstance(change, Reply))
    return decode_untrusted(reply.message)


def wanted(outcome: Outcome) -> Connect:
    """The only change of a Connect request that waits for the peer."""
    (change,) = outcome.changes
    assert isinstance(change, Connect)
    return change


def established(client: Client, peer: Address = PEER) -> tuple[int, bytes]:
    """Number and CONNECTION-ID of a connection that the peer has accepted."""
    desk, number = client.desk, wanted(connect(client, peer)).connection
    answer = answered(connected(desk.state, number, succeeded=True, now=desk.now))
    identity = answer.first(Attribute.CONNECTION_ID)
    assert identity is not None
    return number, identity


def bind(client: Client, identity: bytes) -> Decided:
    return client.request(Method.CONNECTION_BIND, ((Attribute.CONNECTION_ID, identity),))


def data_client(desk: Desk, username: str = "alice", port: int = 41_000) -> Client:
    return desk.client(port, username, transport=Transport.TCP)


# §5.1 Receiving a TCP Allocate Request


@streams
def test_a_tcp_relayed_address_is_allocated_instead_of_a_udp_one(transport: Transport) -> None:
    client = Desk().client(transport=transport)
    answer = client.request(Method.ALLOCATE, (TCP,))
    assert answer.code == 0
    (change,) = answer.changes
    assert isinstance(change, OpenTcpAllocation)
    assert change.advertised == answer.address(Attribute.XOR_RELAYED_ADDRESS)
    assert answer.message.first(Attribute.RESERVATION_TOKEN) is None


@pytest.mark.parametrize("protocol", [0, 1, 58, 132, 255])
def test_another_protocol_is_442(protocol: int) -> None:
    client = Desk().client(transport=Transport.TCP)
    transport = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(protocol))
    assert client.request(Method.ALLOCATE, (transport,)).code == 442


@datagrams
def test_a_client_over_datagrams_gets_400(transport: Transport) -> None:
    assert Desk().client(transport=transport).request(Method.ALLOCATE, (TCP,)).code == 400


@pytest.mark.parametrize(
    "attribute",
    [
        (Attribute.EVEN_PORT, encode_even_port(False)),
        (Attribute.EVEN_PORT, encode_even_port(True)),
        (Attribute.RESERVATION_TOKEN, bytes(8)),
    ],
)
def test_what_is_of_udp_only_is_400(attribute: tuple[int, bytes]) -> None:
    client = Desk().client(transport=Transport.TCP)
    assert client.request(Method.ALLOCATE, (TCP, attribute)).code == 400


def test_udp_is_403_where_local_policy_forbids_it() -> None:
    desk = Desk(Settings(REALM, udp_relay=False))
    assert desk.client().request(Method.ALLOCATE, (UDP,)).code == 403
    assert desk.client(transport=Transport.TCP).request(Method.ALLOCATE, (TCP,)).code == 0


def test_tcp_is_442_where_it_is_not_served() -> None:
    desk = Desk(Settings(REALM, tcp_relay=False))
    assert desk.client(transport=Transport.TCP).request(Method.ALLOCATE, (TCP,)).code == 442
    assert desk.client(transport=Transport.TCP).request(Method.ALLOCATE, (UDP,)).code == 0


def test_a_tcp_allocation_does_not_move() -> None:
    client = Desk(Settings(REALM, mobility=True)).client(transport=Transport.TCP)
    ticket = (Attribute.MOBILITY_TICKET, b"")
    assert client.request(Method.ALLOCATE, (TCP, ticket)).code == 405
    assert client.request(Method.ALLOCATE, (UDP, ticket)).code == 0


# §5.2 Receiving a Connect Request


def test_connect_without_an_allocation_is_437() -> None:
    assert refused(connect(Desk().client(transport=Transport.TCP))) == 437


def test_connect_on_a_udp_allocation_is_437() -> None:
    client = Desk().client(transport=Transport.TCP)
    client.allocate()
    assert refused(connect(client)) == 437


@clause("RFC 6062 §5.2", "Connect by another user is 441", "WRONG_CREDENTIALS")
def test_connect_of_another_user_is_441() -> None:
    desk = Desk()
    control(desk)
    assert refused(connect(desk.client(username="bob", transport=Transport.TCP))) == 441


def test_connect_is_answered_when_the_peer_has_answered() -> None:
    desk = Desk()
    client = control(desk)
    change = wanted(connect(client))
    assert (change.allocation, change.peer, change.relayed_only) == (1, PEER, False)
    outcome = connected(desk.state, change.connection, succeeded=True, now=desk.now)
    answer = answered(outcome)
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.method == Method.CONNECT
    assert answer.verifies(_key("alice"))
    identity = answer.first(Attribute.CONNECTION_ID)
    assert identity is not None
    assert len(identity) == 4


def _key(username: str) -> bytes:
    return long_term_key(username, REALM, PASSWORDS[username])


def test_the_same_peer_again_is_446_while_it_is_tried() -> None:
    client = control(Desk())
    wanted(connect(client))
    assert refused(connect(client)) == 446


def test_the_same_peer_again_is_446_while_the_connection_is_pending_or_active() -> None:
    desk = Desk()
    client = control(desk)
    number, identity = established(client)
    assert refused(connect(client)) == 446
    assert bind(data_client(desk), identity).code == 0
    assert refused(connect(client)) == 446
    ended(desk.state, number, sent_bytes=0, received_bytes=0)
    wanted(connect(client))


def test_another_port_of_the_peer_and_another_allocation_are_other_connections() -> None:
    desk = Desk()
    client = control(desk)
    wanted(connect(client))
    wanted(connect(client, Address(PEER.ip, PEER.port + 1)))
    wanted(connect(control(desk, 40_001)))


@pytest.mark.parametrize("value", [None, b"", bytes(8), b"\0\1\0\0"])
def test_connect_without_a_valid_peer_is_400(value: bytes | None) -> None:
    client = control(Desk())
    attributes = () if value is None else ((Attribute.XOR_PEER_ADDRESS, value),)
    assert client.request(Method.CONNECT, attributes).code == 400


def test_connect_to_port_0_is_400() -> None:
    assert refused(connect(control(Desk()), Address(PEER.ip, 0))) == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "0.0.0.0", "224.0.0.1", RELAY_V4])
def test_a_peer_that_local_policy_forbids_is_403(host: str) -> None:
    assert refused(connect(control(Desk()), Address.of(host, 80))) == 403


@clause("RFC 6062 §5.2", "Connect to a peer of another family is 443", "PEER_FAMILY")
def test_a_peer_of_the_other_family_is_443() -> None:
    assert refused(connect(control(Desk()), PEER_V6)) == 443


def test_another_tcp_relayed_address_may_be_connected_to_and_nothing_else_of_ours() -> None:
    desk = Desk()
    alice, bob = control(desk), control(desk, 40_001, "bob")
    own, other = (allocation.advertised[0] for allocation in desk.state.allocations)
    assert wanted(connect(alice, other)).relayed_only
    assert refused(connect(alice, own)) == 403
    assert refused(connect(alice, Address(other.ip, other.port + 1))) == 403
    assert wanted(connect(bob, own)).relayed_only
    udp = desk.client(40_002).allocate().address(Attribute.XOR_RELAYED_ADDRESS)
    assert refused(connect(alice, udp)) == 403


def test_the_own_relayed_address_is_403_even_where_everything_is_allowed() -> None:
    desk = Desk()
    client = control(desk)
    (allocation,) = desk.state.allocations
    desk.state.peer_rules = PeerRules(PeerPolicy.COTURN, (), (), True, False, frozenset())
    (own,) = allocation.advertised
    assert desk.state.peer_rules.refusal(own.ip) is None
    assert refused(connect(client, own)) == 403


def test_a_peer_that_cannot_be_reached_is_447() -> None:
    desk = Desk()
    client = control(desk)
    change = wanted(connect(client))
    outcome = connected(desk.state, change.connection, succeeded=False, now=desk.now)
    assert refused(outcome) == 447
    assert answered(outcome).verifies(_key("alice"))
    (entry,) = outcome.journal
    assert isinstance(entry, RefusedRequest)
    assert str(PEER) in entry.detail
    wanted(connect(client))


@clause("RFC 6062 §5.2", "a peer may take 30 seconds to answer", "CONNECTION_FAILED")
def test_a_peer_that_does_not_answer_is_447_after_30_seconds_and_not_before() -> None:
    desk = Desk()
    client = control(desk)
    change = wanted(connect(client))
    desk.pass_seconds(29.9)
    assert not expire(desk.state, now=desk.now).changes
    desk.pass_seconds(0.1)
    outcome = expire(desk.state, now=desk.now)
    assert outcome.changes[0] == CloseConnection(change.connection)
    assert refused(outcome) == 447
    # Whatever the datapath says later is nobody's.
    late = connected(desk.state, change.connection, succeeded=True, now=desk.now)
    assert late.changes == [CloseConnection(change.connection)]


def test_an_allocation_has_so_many_connections_and_then_508() -> None:
    client = control(Desk())
    for port in range(1, CONNECTIONS_OF_ALLOCATION + 1):
        wanted(connect(client, Address(PEER.ip, port)))
    assert refused(connect(client)) == 508


def test_a_connect_that_waits_is_answered_when_its_allocation_ends() -> None:
    desk = Desk()
    client = control(desk)
    wanted(connect(client))
    packet = client.signed(Method.REFRESH, ((Attribute.LIFETIME, bytes(4)),))
    outcome = desk.receive(client.five_tuple, packet)
    replies = [change for change in outcome.changes if isinstance(change, Reply)]
    methods = [decode_untrusted(reply.message).method for reply in replies]
    assert methods == [Method.CONNECT, Method.REFRESH]
    assert CloseAllocation(1) in outcome.changes
    assert len(desk.state.peer_connections) == 0


# §5.3 Receiving a TCP Connection on a Relayed Transport Address


def arrive(desk: Desk, peer: Address = PEER, number: int = ARRIVAL) -> Outcome:
    return attempted(desk.state, 1, peer, number, now=desk.now)


def identity_of(outcome: Outcome) -> bytes:
    identity = answered(outcome).first(Attribute.CONNECTION_ID)
    assert identity is not None
    return identity


def test_the_client_is_told_of_a_peer_over_the_control_connection() -> None:
    desk = Desk()
    client = control(desk)
    outcome = arrive(desk)
    (change,) = outcome.changes
    assert isinstance(change, Reply)
    assert change.five_tuple == client.five_tuple
    message = answered(outcome)
    assert message.message_class is MessageClass.INDICATION
    assert message.method == Method.CONNECTION_ATTEMPT
    value = message.first(Attribute.XOR_PEER_ADDRESS)
    assert value is not None
    assert decode_xor_address_untrusted(value, message.transaction_id) == PEER


@clause("RFC 6062 §5.3", "so is one that a peer began", "src/ferryman/engine/peer_connection.py")
def test_an_arrival_that_nobody_binds_is_closed_after_30_seconds() -> None:
    desk = Desk()
    control(desk)
    identity = identity_of(arrive(desk))
    desk.pass_seconds(29.9)
    assert not expire(desk.state, now=desk.now).changes
    desk.pass_seconds(0.1)
    assert bind(data_client(desk), identity).code == 400
    assert expire(desk.state, now=desk.now).changes == [CloseConnection(ARRIVAL)]


@clause(
    "RFC 6062 §5.2",
    "a connection that nobody binds is closed after 30 seconds",
    "src/ferryman/engine/peer_connection.py",
)
def test_a_connection_that_nobody_binds_is_closed_30_seconds_after_it_was_established() -> None:
    desk = Desk()
    client = control(desk)
    number = wanted(connect(client)).connection
    desk.pass_seconds(20)
    connected(desk.state, number, succeeded=True, now=desk.now)
    arrive(desk, Address(PEER.ip, 1))
    desk.pass_seconds(29.9)
    assert not expire(desk.state, now=desk.now).changes
    desk.pass_seconds(0.1)
    closed = expire(desk.state, now=desk.now).changes
    assert closed == [CloseConnection(number), CloseConnection(ARRIVAL)]


def test_a_bound_connection_has_no_deadline() -> None:
    desk = Desk()
    client = control(desk)
    _, identity = established(client)
    assert bind(data_client(desk), identity).code == 0
    desk.pass_seconds(300)
    assert not expire(desk.state, now=desk.now).changes


def test_arrivals_beyond_the_limit_and_of_no_allocation_are_closed() -> None:
    desk = Desk()
    control(desk)
    for port in range(1, CONNECTIONS_OF_ALLOCATION + 1):
        assert identity_of(arrive(desk, Address(PEER.ip, port), ARRIVAL + port))
    assert arrive(desk).changes == [CloseConnection(ARRIVAL)]
    nobody = attempted(desk.state, 9, PEER, ARRIVAL, now=desk.now)
    assert nobody.changes == [CloseConnection(ARRIVAL)]


def test_a_permission_is_installed_as_for_udp() -> None:
    client = control(Desk())
    (change,) = client.permit(PEER).changes
    assert isinstance(change, Permit)


# §5.4 Receiving a ConnectionBind Request


@datagrams
def test_a_bind_over_datagrams_is_400(transport: Transport) -> None:
    desk = Desk()
    _, identity = established(control(desk))
    assert bind(desk.client(41_000, transport=transport), identity).code == 400


@pytest.mark.parametrize("value", [None, b"", b"\0\0\0", bytes(5), b"none"])
def test_a_bind_to_no_pending_connection_is_400(value: bytes | None) -> None:
    desk = Desk()
    established(control(desk))
    attributes = () if value is None else ((Attribute.CONNECTION_ID, value),)
    assert data_client(desk).request(Method.CONNECTION_BIND, attributes).code == 400


@streams
def test_a_bind_joins_the_two_connections_before_its_answer(transport: Transport) -> None:
    desk = Desk()
    number, identity = established(control(desk))
    client = desk.client(41_000, transport=transport)
    answer = bind(client, identity)
    assert answer.code == 0
    assert answer.changes == [Join(number, client.five_tuple)]
    assert answer.journal == [ConnectionBound(client.five_tuple, 1, "alice", PEER)]


def test_a_connection_that_still_waits_for_its_peer_cannot_be_bound() -> None:
    desk = Desk()
    client = control(desk)
    wanted(connect(client))
    (connection,) = desk.state.peer_connections.of(next(iter(desk.state.allocations)))
    assert bind(data_client(desk), connection.connection_id).code == 400


def test_another_users_connection_is_as_unknown_as_one_that_is_not_there() -> None:
    desk = Desk()
    _, identity = established(control(desk))
    stolen, guessed = (bind(data_client(desk, "bob", 42_000), one) for one in (identity, b"none"))
    assert stolen.code == guessed.code == 400
    assert stolen.message.attributes[0] == guessed.message.attributes[0]
    assert bind(data_client(desk), identity).code == 0


def test_a_connection_is_bound_once() -> None:
    desk = Desk()
    _, identity = established(control(desk))
    assert bind(data_client(desk), identity).code == 0
    assert bind(data_client(desk, port=42_000), identity).code == 400


def test_a_control_connection_cannot_become_a_data_connection() -> None:
    client = control(Desk())
    _, identity = established(client)
    assert bind(client, identity).code == 400


# §5.5 Data Connection Maintenance


def test_no_bind_after_the_allocation_has_expired() -> None:
    desk = Desk()
    client = control(desk)
    desk.pass_seconds(590)
    client.challenge()
    _, identity = established(client)
    desk.pass_seconds(10)
    other = data_client(desk)
    assert bind(other, identity).code == 400
    assert CloseAllocation(1) in expire(desk.state, now=desk.now).changes
    assert len(desk.state.peer_connections) == 0


def test_connections_end_with_the_control_connection() -> None:
    desk = Desk()
    client = control(desk)
    established(client)
    arrive(desk, Address(PEER.ip, 1))
    assert disconnected(desk.state, client.five_tuple, now=desk.now).changes == [CloseAllocation(1)]
    assert len(desk.state.peer_connections) == 0


def test_the_end_of_a_bound_connection_is_told_with_its_bytes() -> None:
    desk = Desk()
    client = control(desk)
    number, identity = established(client)
    bind(data_client(desk), identity)
    outcome = ended(desk.state, number, sent_bytes=3, received_bytes=5)
    assert outcome.journal == [ConnectionEnded(client.five_tuple, 1, "alice", PEER, 3, 5)]
    assert not ended(desk.state, number, sent_bytes=3, received_bytes=5).journal


def test_channels_are_of_udp() -> None:
    assert control(Desk()).bind(0x4000, PEER).code == 437


def test_the_table_is_empty_of_everything_after_a_thousand_connections() -> None:
    desk = Desk()
    client = control(desk)
    for at in range(250):
        number, identity = established(client)
        bind(data_client(desk, port=at + 1), identity)
        ended(desk.state, number, sent_bytes=0, received_bytes=0)
        connected(desk.state, wanted(connect(client)).connection, succeeded=False, now=desk.now)
        arrive(desk, number=ARRIVAL + at)
        ended(desk.state, ARRIVAL + at, sent_bytes=0, received_bytes=0)
        arrive(desk, number=ARRIVAL + 1000 + at)
        desk.now += 30 * 10**9
        client.nonce = b""
        client.refresh()
        expire(desk.state, now=desk.now)
    table = desk.state.peer_connections
    assert not any((table._by_number, table._by_id, table._by_peer, table._deadlines))


def test_a_key_is_not_shown() -> None:
    desk = Desk()
    connect(control(desk))
    (connection,) = desk.state.peer_connections.of(next(iter(desk.state.allocations)))
    assert repr(_key("alice")) not in repr(connection)


def test_a_five_tuple_is_what_names_a_client() -> None:
    desk = Desk()
    client = control(desk)
    again = FiveTuple(*client.five_tuple[:3], 2)
    assert refused(connect(Client(desk, again, "alice"))) == 437
