"""What RFC 6062 adds to the small TURN client: TCP allocations, peers and data connections."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ferryman.wire.address import Address
from ferryman.wire.message import decode_untrusted
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import decode_xor_address_untrusted, encode_requested_transport
from tests.answer import Answer
from tests.turn_client import TIMEOUT, TurnClient

TCP_TRANSPORT = (Attribute.REQUESTED_TRANSPORT, encode_requested_transport(6))

Connect = Callable[..., TurnClient]


def allocate_tcp(client: TurnClient, *attributes: tuple[int, bytes]) -> Answer:
    return client.request(Method.ALLOCATE, (TCP_TRANSPORT, *attributes))


def relayed_tcp(client: TurnClient, *attributes: tuple[int, bytes]) -> Address:
    """Allocate and return the relayed address; the allocation must succeed."""
    answer = allocate_tcp(client, *attributes)
    assert answer.code == 0
    return answer.address(Attribute.XOR_RELAYED_ADDRESS)


def connect_to(client: TurnClient, peer: Address) -> Answer:
    return client._with_peer(Method.CONNECT, peer)


def connection_id(answer: Answer) -> bytes:
    value = answer.message.first(Attribute.CONNECTION_ID)
    assert value is not None
    assert len(value) == 4
    return value


def bind_connection(client: TurnClient, identity: bytes) -> Answer:
    return client.request(Method.CONNECTION_BIND, ((Attribute.CONNECTION_ID, identity),))


def data_connection(connect: Connect, identity: bytes, *account: str) -> socket.socket:
    """A client data connection that is bound; what comes behind the answer is left unread."""
    client = connect(*account, stream=True)
    client.challenge()
    attribute = (Attribute.CONNECTION_ID, identity)
    client.send(client.signed(Method.CONNECTION_BIND, (attribute,)))
    header = receive_exactly(client.socket, 20)
    body = receive_exactly(client.socket, int.from_bytes(header[2:4]))
    answer = decode_untrusted(header + body)
    assert answer.message_class is MessageClass.SUCCESS
    return client.socket


def attempt(client: TurnClient) -> tuple[Address, bytes]:
    """Peer and CONNECTION-ID of the next ConnectionAttempt indication."""
    message = decode_untrusted(client.receive())
    assert message.message_class is MessageClass.INDICATION
    assert message.method == Method.CONNECTION_ATTEMPT
    peer = message.first(Attribute.XOR_PEER_ADDRESS)
    identity = message.first(Attribute.CONNECTION_ID)
    assert peer is not None
    assert identity is not None
    return decode_xor_address_untrusted(peer, message.transaction_id), identity


def receive_exactly(connection: socket.socket, length: int) -> bytes:
    octets = b""
    while len(octets) < length:
        more = connection.recv(length - len(octets))
        assert more, f"the stream ended after {octets!r}"
        octets += more
    return octets


def dial(address: Address) -> socket.socket:
    return socket.create_connection((address.host, address.port), timeout=TIMEOUT)


class ListeningPeer:
    """A TCP server, as the client's correspondent."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, 0), family=family)
        self.socket.settimeout(TIMEOUT)
        self._accepted: list[socket.socket] = []

    def __enter__(self) -> ListeningPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the server and every connection that it has accepted."""
        for connection in (self.socket, *self._accepted):
            connection.close()

    @property
    def address(self) -> Address:
        host, port = self.socket.getsockname()[:2]
        return Address.of(host, port)

    def accept(self) -> tuple[socket.socket, Address]:
        connection, source = self.socket.accept()
        connection.settimeout(TIMEOUT)
        self._accepted.append(connection)
        return connection, Address.of(*source[:2])
