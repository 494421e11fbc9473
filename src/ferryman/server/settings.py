"""What the server room needs to know: where to listen and which relayed addresses to give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ferryman.engine.five_tuple import Transport
from ferryman.wire.address import Address, Family


@dataclass(frozen=True, slots=True)
class Listener:
    """`address` may be a wildcard; port 0 lets the system choose.

    Over TCP, TLS is spoken as well when there is a certificate. `plain`: so is TCP alone on a TLS
    listener. `fronts`: only front ends connect, who say by the PROXY protocol who their clients
    are: the first and the last raw IP of those that may.
    """

    transport: Transport
    address: Address
    plain: bool = True
    fronts: tuple[tuple[bytes, bytes], ...] | None = None


@dataclass(frozen=True, slots=True)
class ExternalName:
    """`name` stands for the public IP of `relay_ip`, or of every other relay IP of the family."""

    name: str
    family: Family
    relay_ip: bytes | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """`relay_ips`: raw IPs to relay from; empty for the address that each client's packet was
    sent to. `external`: relay IP to the public IP that it is known by; `external_by_default`: the
    public IP of every other relay IP of its family, loopback excepted. `external_names`: names
    that some of these were resolved from, and `external_auto`: whether the others are to be found
    out, from the server `external_stun` or else the interfaces (see `external_address`).
    `discovery_pairs`: two listening IPs of a family for RFC 5780, served on both
    `discovery_ports`."""

    listeners: tuple[Listener, ...]
    relay_ips: tuple[bytes, ...] = ()
    external: Mapping[bytes, bytes] = field(default_factory=dict)
    external_by_default: tuple[bytes, ...] = ()
    external_names: tuple[ExternalName, ...] = ()
    external_auto: bool = False
    external_stun: tuple[str, int] | None = None
    discovery_pairs: tuple[tuple[bytes, bytes], ...] = ()
    discovery_ports: tuple[int, int] = (0, 0)
    minimum_port: int = 49152
    maximum_port: int = 65535
