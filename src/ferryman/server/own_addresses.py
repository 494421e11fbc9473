"""The addresses of this machine: which are its own, and which one to relay from.

Asks the interfaces through `ifaddr`; opens no socket but to ask the routing table.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address

import ifaddr

from ferryman.wire.address import Family

# Documentation addresses (RFC 5737, RFC 3849): connect() on UDP sends nothing, it asks for a route.
_ANYWHERE = {Family.IPV4: ("192.0.2.1", 9), Family.IPV6: ("2001:db8::1", 9)}
_SOCKET_FAMILY = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


def interface_addresses() -> frozenset[bytes]:
    """Every IP that an interface of this machine has now, raw."""
    found = set()
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            found.add(ip_address(text.partition("%")[0]).packed)
    return frozenset(found)


def primary_address(family: Family) -> bytes | None:
    """The source address towards the world, else any that is not loopback or link-local."""
    routed = _routed_address(family)
    if routed is not None:
        return routed
    try:
        candidates = [ip_address(ip) for ip in sorted(interface_addresses())]
    except OSError:
        return None
    for candidate in candidates:
        if Family.of(candidate.packed) is family and not (
            candidate.is_loopback or candidate.is_link_local
        ):
            return candidate.packed
    return None


def loopback_address(family: Family) -> bytes:
    return ip_address("127.0.0.1" if family is Family.IPV4 else "::1").packed


def is_loopback(ip: bytes) -> bool:
    return ip_address(ip).is_loopback


def _routed_address(family: Family) -> bytes | None:
    try:
        with socket.socket(_SOCKET_FAMILY[family], socket.SOCK_DGRAM) as probe:
            probe.connect(_ANYWHERE[family])
            return ip_address(probe.getsockname()[0].partition("%")[0]).packed
    except OSError:
        return None
