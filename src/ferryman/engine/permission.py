"""Permissions of one allocation (RFC 8656 §9): peer IPs that may be reached, each for a while.

Knows no ports (a permission has none) and no peer rules.
"""

from __future__ import annotations

from ferryman.engine.refusals import Refusal, Refused
from ferryman.wire.address import Family


class Permissions:
    """Expiry by peer IP; at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._expires_at: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._expires_at)

    def check(self, peer_ips: set[bytes], *, now: int) -> None:
        """Raise Refused unless all of them can be installed: it is all or none."""
        new = peer_ips - self._expires_at.keys()
        if len(self._expires_at) + len(new) > self._capacity:
            self._expire(now=now)
        if len(self._expires_at) + len(new) > self._capacity:
            raise Refused(Refusal.TOO_MANY_PERMISSIONS, f"{self._capacity} are installed")

    def install(self, peer_ip: bytes, *, expires_at: int) -> None:
        self._expires_at[peer_ip] = expires_at

    def forget(self, family: Family) -> None:
        """The relayed address of this family is gone, and its permissions with it."""
        self._expires_at = {
            ip: at for ip, at in self._expires_at.items() if Family.of(ip) is not family
        }

    def _expire(self, *, now: int) -> None:
        self._expires_at = {ip: at for ip, at in self._expires_at.items() if now < at}
