"""Refusals that no request alone can bring about: the desk is set for each of them."""

from __future__ import annotations

import pytest

from ferryman.engine.five_tuple import Transport
from ferryman.engine.journal import RefusedRequest
from ferryman.engine.peer_connection import CONNECTIONS_OF_ALLOCATION
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import Settings
from ferryman.wire.address import Family
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import (
    encode_family,
    encode_requested_transport,
    encode_xor_address,
)
from tests.conformance.clause import clause
from tests.engine.desk import PEER, REALM, Client, Decided, Desk
from tests.engine.roaming import allocated, resume

TCP = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6))
DUAL = (Attribute.ADDITIONAL_ADDRESS_FAMILY, encode_family(Family.IPV6))


def refused(answer: Decided) -> tuple[int, Refusal]:
    (entry,) = answer.journal
    assert isinstance(entry, RefusedRequest)
    return answer.code, entry.refusal


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(realm=REALM, udp_relay=False), (403, Refusal.UDP_FORBIDDEN)),
        (Settings(realm=REALM, user_quota=1), (486, Refusal.USER_QUOTA)),
        (Settings(realm=REALM, total_quota=1), (486, Refusal.TOTAL_QUOTA)),
    ],
    ids=lambda value: value[1].name if isinstance(value, tuple) else "",
)
def test_a_setting_refuses_an_allocate(settings: Settings, expected: tuple[int, Refusal]) -> None:
    desk = Desk(settings)
    if settings.udp_relay:
        desk.client(1).allocate()
    assert refused(desk.client(2).allocate()) == expected


def test_without_a_port_of_either_family_a_dual_allocate_is_508() -> None:
    desk = Desk(short_of=dict.fromkeys(Family, Refusal.NO_PORT))
    assert refused(desk.client().allocate(DUAL)) == (508, Refusal.NEITHER_FAMILY)


@clause("RFC 8656 §21.4", "a client in a tunnel, 6to4 or Teredo, is 403", "TUNNELLED_CLIENT")
@pytest.mark.parametrize("host", ["2002:cb00:7109::1", "2001:0:808:808:0:ffff:34ff:8ef6"])
@pytest.mark.parametrize("transport", Transport)
def test_a_client_in_an_automatic_tunnel_gets_no_allocation(
    host: str, transport: Transport
) -> None:
    desk = Desk(Settings(realm=REALM, mobility=True))
    inside = desk.client(host=host, transport=transport)
    assert refused(inside.allocate()) == (403, Refusal.TUNNELLED_CLIENT)
    ticket = allocated(desk.client())
    assert refused(resume(inside, ticket)) == (403, Refusal.TUNNELLED_CLIENT)
    beside = desk.client(host="2003:cb00:7109::1", transport=transport)
    assert resume(beside, ticket).code == 0


def test_connections_of_an_allocation_are_limited() -> None:
    desk = Desk()
    client = desk.client(transport=Transport.TCP)
    assert client.request(Method.ALLOCATE, (TCP,)).code == 0
    for port in range(1, CONNECTIONS_OF_ALLOCATION + 1):
        desk.receive(client.five_tuple, connect(client, port))
    answer = client.send(connect(client, 60_000))
    assert refused(answer) == (508, Refusal.TOO_MANY_CONNECTIONS)


def connect(client: Client, port: int) -> bytes:
    transaction_id = client.transaction_id()
    peer = encode_xor_address(PEER._replace(port=port), transaction_id)
    attributes = ((Attribute.XOR_PEER_ADDRESS, peer),)
    return client.signed(Method.CONNECT, attributes, transaction_id=transaction_id)
