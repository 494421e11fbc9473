"""Who a client is when its addresses are counted: an IPv4 address, or an IPv6 network of /64.

One IPv6 subscriber has at least 2^64 addresses to send from (RFC 4291 §2.5.4), so that to count
single ones would count nothing. Knows nothing of what is counted.
"""

from __future__ import annotations

from ferryman.wire.address import Address

_NETWORK = 8
_MAPPED = bytes(10) + b"\xff\xff"


def source_of(ip: bytes) -> bytes:
    """4 octets for IPv4 (also where IPv6 carries it, RFC 4291 §2.5.5.2), the first 8 for IPv6."""
    if len(ip) == 4:
        return ip
    return ip[12:] if ip.startswith(_MAPPED) else ip[:_NETWORK]


def source_text(source: bytes) -> str:
    """For the log: `192.0.2.1` or `2001:db8:0:1::/64`."""
    if len(source) == 4:
        return Address(source, 0).host
    return f"{Address(source + bytes(_NETWORK), 0).host}/64"
