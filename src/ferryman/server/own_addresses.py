"""The addresses of this machine: which are its own, and which one to relay from.

Asks the interfaces through `ifaddr`; opens no socket but to ask the routing table.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
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
            found.add(ip_address(_text(entry)).packed)
    return frozenset(found)


def interfaces_of(ips: Collection[bytes]) -> tuple[str, ...]:
    """The names of the interfaces that have any of these IPs, loopback not among them."""
    found: dict[str, None] = {}
    for adapter in ifaddr.get_adapters():
        own = {ip_address(_text(entry)).packed for entry in adapter.ips}
        if own & set(ips) and not any(is_loopback(ip) for ip in own):
            found[str(adapter.name)] = None
    return tuple(found)


def can_have(ip: bytes) -> bool:
    """Whether a socket of this machine may have this address, also where no interface shows it
    (127.0.0.2)."""
    try:
        with socket.socket(_SOCKET_FAMILY[Family.of(ip)], socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip_address(ip)), 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def _text(entry: ifaddr.IP) -> str:
    text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
    return text.partition("%")[0]


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
