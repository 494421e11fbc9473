"""What an operator may choose about the engine's decisions: one frozen value, seconds throughout.

A reload replaces the value between two requests; nothing changes in the middle of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ferryman.wire.registry import CHANNEL_NUMBERS

SECOND = 1_000_000_000
"""Nanoseconds in a second: the engine counts CLOCK_MONOTONIC nanoseconds."""


class DefaultFamily(Enum):
    """The relayed family when REQUESTED-ADDRESS-FAMILY is absent (RFC 8656 §7.2 says IPv4)."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations in seconds; a quota of 0 is no quota. `third_party`: the server's name in
    THIRD-PARTY-AUTHORIZATION (RFC 7635); empty where access tokens are not taken.

    `bytes_per_second`: what each allocation may carry in each direction. `capacity`: how much of
    that may be promised in all, also in bytes per second. `source_quota`: allocations of one
    source (see `source`). `unauthorized_per_second`: answers over UDP to those of a source who have
    proved nothing, and to wrong passwords of a source over all else; 0 is no limit. `stun_only`:
    Binding alone is answered. `software`: answers to those who have proved themselves carry
    SOFTWARE. `origin_consistency`: ORIGIN may not change while an allocation lasts.
    """

    realm: str
    authenticated: bool = True
    default_lifetime: int = 600
    maximum_lifetime: int = 3600
    permission_lifetime: int = 300
    channel_lifetime: int = 600
    channel_quarantine: int = 300
    channel_numbers: range = CHANNEL_NUMBERS
    user_quota: int = 0
    total_quota: int = 0
    source_quota: int = 0
    bytes_per_second: int = 0
    capacity: int = 0
    maximum_permissions: int = 1024
    maximum_channels: int = 1024
    fingerprint: bool = False
    third_party: str = ""
    default_family: DefaultFamily = DefaultFamily.IPV4
    reservation_lifetime: int = 30
    mobility: bool = False
    unauthorized_per_second: int = 100
    udp_relay: bool = True
    tcp_relay: bool = True
    stun_only: bool = False
    software: bool = False
    origin_consistency: bool = False
