"""The octets of a message that nothing is said with: what follows a value up to a multiple of 4
(RFC 8489 §14), which is where other servers told what their memory held."""

from __future__ import annotations


def padding_in(packet: bytes) -> bytes:
    """All padding of a STUN message, put together; the lengths in it must be true."""
    found, at = b"", 20
    while at < len(packet):
        end = at + 4 + int.from_bytes(packet[at + 2 : at + 4], "big")
        at = end + 3 & ~3
        assert at <= len(packet), packet.hex()
        found += packet[end:at]
    return found
