"""Address ranges that are no place for a peer, from the IANA special-purpose registries.

Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and the RFC named
in each row), and the IANA IPv6 address space registry, which makes 2000::/3 the only global
unicast space. Rows only: which of them counts, and in which order, is `peer_rules`' matter.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import NamedTuple


class Range(NamedTuple):
    """A row: first and last address (4 or 16 bytes) and the name that the log gives it."""

    first: bytes
    last: bytes
    name: str


def _range(network: str, name: str) -> Range:
    whole = ip_network(network)
    return Range(whole[0].packed, whole[-1].packed, f"{name} {network}")


# RFC 8656 §21.4: a relay and the way into such a tunnel could pass a packet round and round.
TUNNELLED = (
    _range("2002::/16", "6to4"),  # RFC 3056
    _range("2001::/32", "Teredo"),  # RFC 4380
)

NEVER = (
    _range("0.0.0.0/8", "this network"),  # RFC 791 §3.2; Linux takes it for loopback
    _range("::/128", "unspecified"),  # RFC 4291 §2.5.2
    _range("169.254.0.0/16", "link-local"),  # RFC 3927; cloud metadata lives here
    _range("fe80::/10", "link-local"),  # RFC 4291 §2.5.6
    _range("fec0::/10", "site-local"),  # RFC 3879
    *TUNNELLED,
)

LOOPBACK = (
    _range("127.0.0.0/8", "loopback"),  # RFC 1122 §3.2.1.3
    _range("::1/128", "loopback"),  # RFC 4291 §2.5.3
)

MULTICAST = (
    _range("255.255.255.255/32", "broadcast"),  # RFC 919 §7
    _range("224.0.0.0/4", "multicast"),  # RFC 5771
    _range("240.0.0.0/4", "reserved"),  # RFC 1112 §4
    _range("ff00::/8", "multicast"),  # RFC 4291 §2.7
)

UNIQUE_LOCAL = (_range("fc00::/7", "unique-local"),)  # RFC 4193

PRIVATE = (
    _range("10.0.0.0/8", "private"),  # RFC 1918
    _range("172.16.0.0/12", "private"),
    _range("192.168.0.0/16", "private"),
    _range("100.64.0.0/10", "shared"),  # RFC 6598, carrier-grade NAT
)

# Good by itself: what counts is the IPv4 address inside (RFC 6052 §2.1).
TRANSLATED = (_range("64:ff9b::/96", "NAT64"),)

NOT_PUBLIC = (
    *PRIVATE,
    _range("192.0.0.0/24", "IETF protocol"),  # RFC 6890 §2.1
    _range("192.0.2.0/24", "documentation"),  # RFC 5737
    _range("198.51.100.0/24", "documentation"),
    _range("203.0.113.0/24", "documentation"),
    _range("198.18.0.0/15", "benchmarking"),  # RFC 2544
    _range("192.88.99.0/24", "6to4 relay anycast"),  # RFC 7526
    *UNIQUE_LOCAL,
    _range("2001::/23", "IETF protocol"),  # RFC 2928
    _range("2001:db8::/32", "documentation"),  # RFC 3849
    _range("3fff::/20", "documentation"),  # RFC 9637
    _range("64:ff9b:1::/48", "local NAT64"),  # RFC 8215
    _range("100::/64", "discard-only"),  # RFC 6666
    _range("5f00::/16", "segment routing"),  # RFC 9602
    _range("::/3", "not global unicast"),
    _range("4000::/2", "not global unicast"),
    _range("8000::/1", "not global unicast"),
)
