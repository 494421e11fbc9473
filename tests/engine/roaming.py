"""A client that moves: tickets in hand, one 5-tuple after the other."""

from __future__ import annotations

from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.settings import Settings
from ferryman.wire.address import Address
from ferryman.wire.registry import Attribute, Method
from ferryman.wire.values import encode_uint32
from tests.engine.desk import REALM, SERVER, Client, Decided, Desk

ASKS_FOR_TICKET = (Attribute.MOBILITY_TICKET, b"")


def mobile_desk() -> Desk:
    return Desk(Settings(realm=REALM, mobility=True))


def on(
    desk: Desk,
    port: int,
    username: str = "alice",
    transport: Transport = Transport.UDP,
    host: str = "203.0.113.77",
) -> Client:
    """The client on another 5-tuple; a stream's socket number is its port."""
    socket = port if transport.is_stream else 1
    return Client(desk, FiveTuple(transport, Address.of(host, port), SERVER, socket), username)


def ticket_in(answer: Decided) -> bytes:
    value = answer.message.first(Attribute.MOBILITY_TICKET)
    assert value, f"no ticket in an answer of code {answer.code}"
    return value


def allocated(client: Client) -> bytes:
    """Allocate with a ticket, which is returned."""
    return ticket_in(client.allocate(ASKS_FOR_TICKET))


def resume(client: Client, ticket: bytes, lifetime: int | None = None) -> Decided:
    """A Refresh with a ticket."""
    wish = () if lifetime is None else ((Attribute.LIFETIME, encode_uint32(lifetime)),)
    return client.request(Method.REFRESH, ((Attribute.MOBILITY_TICKET, ticket), *wish))
