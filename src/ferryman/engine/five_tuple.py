"""The 5-tuple that names an allocation (RFC 8656 §3.2)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from ferryman.wire.address import Address


class Transport(IntEnum):
    """Transport between client and server: the IP protocol's number, plus 0x100 where encrypted."""

    TCP = 6
    UDP = 17
    TLS = 0x106
    DTLS = 0x111

    @property
    def is_stream(self) -> bool:
        """Whether bytes arrive in order, without loss and without bounds between messages."""
        return self in _STREAMS


_STREAMS = (Transport.TCP, Transport.TLS)


class FiveTuple(NamedTuple):
    """Client and server transport address and the transport between them.

    `socket` is the datapath's own number for the socket the bytes came through: the listener for
    UDP, the connection for all others. A connection's number is never used again, so that a
    client which reconnects from the same port is another 5-tuple.
    """

    transport: Transport
    client: Address
    server: Address
    socket: int
