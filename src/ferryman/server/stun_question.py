"""Asks a STUN server how the world sees a local address (RFC 8489 §2, Binding).

One question over a plain UDP socket, sent again as RFC 8489 §6.2.1 says, though not as long. Knows
nothing of what the answer is for.
"""

from __future__ import annotations

import asyncio
import os
import socket
from ipaddress import ip_address

from ferryman.wire.address import Address, Family
from ferryman.wire.errors import Malformed
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import decode_xor_address_untrusted

WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds that each sending waits for its answer."""

_LONGEST = 2048
_FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


async def mapped_ip(server: Address, local_ip: bytes | None = None) -> bytes:
    """The IP that `server` sees packets from `local_ip` come from (None: where the route leads).

    Raises OSError when nothing usable is answered.
    """
    with socket.socket(_FAMILIES[server.family], socket.SOCK_DGRAM) as plain:
        plain.setblocking(False)
        if local_ip is not None:
            plain.bind((Address(local_ip, 0).host, 0))
        plain.connect((server.host, server.port))
        for seconds in WAITS:
            found = await _ask(plain, seconds)
            if found is not None:
                return found
    raise OSError(f"{server} does not answer")


async def _ask(plain: socket.socket, seconds: float) -> bytes | None:
    loop = asyncio.get_running_loop()
    transaction_id = os.urandom(12)
    request = encode(MessageClass.REQUEST, Method.BINDING, transaction_id, ())
    try:
        async with asyncio.timeout(seconds):
            await loop.sock_sendall(plain, request)
            while True:
                answer = await loop.sock_recv(plain, _LONGEST)
                found = mapped_ip_untrusted(answer, transaction_id)
                if found is not None:
                    return found
    except TimeoutError:
        return None


def mapped_ip_untrusted(packet: bytes, transaction_id: bytes) -> bytes | None:
    """The IP in a success response to this request; None for anything else, or an IP that no
    host can have. Raises nothing."""
    try:
        message = decode_untrusted(packet)
        value = message.first(Attribute.XOR_MAPPED_ADDRESS)
        is_answer = (message.message_class, message.method, message.transaction_id) == (
            MessageClass.SUCCESS,
            Method.BINDING,
            transaction_id,
        )
        if value is None or not is_answer:
            return None
        ip = decode_xor_address_untrusted(value, transaction_id).ip
    except Malformed:
        return None
    literal = ip_address(ip)
    return None if literal.is_multicast or literal.is_unspecified else ip
