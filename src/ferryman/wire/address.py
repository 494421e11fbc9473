"""Transport addresses as they lie in a packet: raw IP bytes and a port.

Knows nothing of names, interfaces or policy. `ipaddress` objects are left out on purpose:
they cost microseconds each, and these values are made for every message.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import ip_address
from typing import NamedTuple


class Family(IntEnum):
    """Address family as STUN numbers it (RFC 8489 §14.1)."""

    IPV4 = 0x01
    IPV6 = 0x02

    @classmethod
    def of(cls, ip: bytes) -> Family:
        """The family of a raw IP, by its length (4 or 16)."""
        return cls.IPV4 if len(ip) == 4 else cls.IPV6


class Address(NamedTuple):
    """A transport address: `ip` is 4 or 16 bytes in network order, `port` is 0..65535."""

    ip: bytes
    port: int

    @property
    def family(self) -> Family:
        return Family.of(self.ip)

    @property
    def host(self) -> str:
        """The IP as text, without brackets."""
        if len(self.ip) == 4:
            return "{}.{}.{}.{}".format(*self.ip)
        return str(ip_address(self.ip))

    @classmethod
    def of(cls, host: str, port: int) -> Address:
        """From an IP literal; raises ValueError for anything that is not one."""
        return cls(ip_address(host).packed, port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if len(self.ip) == 4 else f"[{self.host}]:{self.port}"
