"""IPv4 addresses that lie inside an IPv6 address, in every form that a router may unpack.

Sources: RFC 4291 §2.5.5 (mapped, compatible), RFC 2765 §2.1 (IPv4-translated), RFC 6052 §2.2
(NAT64), RFC 8215 (local-use NAT64) and RFC 5214 §6.1 (ISATAP). Not 6to4 and Teredo, which are never
a peer, whatever is inside. Knows nothing of which addresses are good.
"""

from __future__ import annotations

_MAPPED = bytes(10) + b"\xff\xff"
_COMPATIBLE = bytes(12)
_IPV4_TRANSLATED = bytes(8) + b"\xff\xff\0\0"
_NAT64 = b"\x00\x64\xff\x9b" + bytes(8)
_LOCAL_NAT64 = b"\x00\x64\xff\x9b\x00\x01"
_ISATAP = tuple(bytes((ug,)) + b"\x00\x5e\xfe" for ug in range(4))
"""With the "u" and "g" bits of an interface identifier in every combination."""
_UNSPECIFIED_AND_LOOPBACK = (bytes(16), bytes(15) + b"\x01")


def embedded_ipv4(ip: bytes) -> tuple[bytes, ...]:
    """Every IPv4 address (4 bytes each) that this 16-byte address may stand for; () for none."""
    found: list[bytes] = []
    if ip.startswith((_MAPPED, _NAT64, _IPV4_TRANSLATED)):
        found.append(ip[12:])
    elif ip.startswith(_COMPATIBLE):
        # `::` and `::1` are addresses of IPv6 itself (RFC 4291 §2.5.2, §2.5.3).
        if ip not in _UNSPECIFIED_AND_LOOPBACK:
            found.append(ip[12:])
    elif ip.startswith(_LOCAL_NAT64):
        found += _translated(ip)
    if ip[8:12] in _ISATAP:
        found.append(ip[12:])
    return tuple(dict.fromkeys(found))


def _translated(ip: bytes) -> list[bytes]:
    """The RFC 6052 §2.2 forms with a prefix of 48, 56, 64 or 96 bits that fit this address.

    A form fits when octet 8 (bits 64 to 71, "u") and everything behind the IPv4 address are
    zero. Nothing in the address says which prefix the network uses, so each that fits counts.
    """
    if ip[8]:
        return []
    forms = (
        (ip[6:8] + ip[9:11], ip[11:]),
        (ip[7:8] + ip[9:12], ip[12:]),
        (ip[9:13], ip[13:]),
        (ip[12:16], b""),
    )
    found = [ipv4 for ipv4, suffix in forms if not any(suffix)]
    # A short prefix leaves zeros where a longer one would have its IPv4 address.
    return [ipv4 for ipv4 in found if any(ipv4)] or found
