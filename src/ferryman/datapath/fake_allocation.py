"""An allocation of the readable flow table: its permissions, channels, paths and what it may carry
(RFC 8656 §9, §11, §12; RFC 8016). Knows no packet from a client and no other allocation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Final, NamedTuple

from ferryman.datapath.door import RawFiveTuple
from ferryman.engine.five_tuple import Transport
from ferryman.engine.settings import SECOND
from ferryman.wire.address import Address, Family
from ferryman.wire.channel_data import encode_channel_data
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_xor_address

_ERRORS_A_SECOND: Final = 10
"""ICMP errors that a client is told of."""
_LEAST_BURST: Final = 65_536
_BILLIONTHS: Final = 1_000_000_000


class Drop(Exception):
    """Why a packet that could be read goes nowhere; the text is the reason's name."""


@dataclass(slots=True)
class Usage:
    sent_packets: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    dropped_packets: int = 0


class Permission(NamedTuple):
    relayed_only: bool
    expires_at: int


class Channel(NamedTuple):
    peer: Address
    relayed_only: bool
    expires_at: int


@dataclass(slots=True)
class Relayed:
    bound: Address
    advertised: Address
    expires_at: int
    permissions: dict[bytes, Permission] = field(default_factory=dict)

    def permits(self, ip: bytes, now: int) -> bool:
        permission = self.permissions.get(ip)
        return permission is not None and permission.expires_at > now


@dataclass(slots=True)
class Bucket:
    """What may pass one way (`max-bps`), in billionths of a byte, of which `rate` come in with
    every nanosecond; a second's worth at most, and no less than a datagram. Rate 0: no limit."""

    rate: int
    level: int = field(init=False)
    filled_at: int = 0

    def __post_init__(self) -> None:
        self.level = self._size

    @property
    def _size(self) -> int:
        return max(self.rate, _LEAST_BURST) * _BILLIONTHS

    def check(self, payload: bytes, now: int) -> None:
        self.level = min(self.level + max(now - self.filled_at, 0) * self.rate, self._size)
        self.filled_at = max(self.filled_at, now)
        if self.rate and self.level < len(payload) * _BILLIONTHS:
            raise Drop("over_bandwidth")

    def take(self, payload: bytes) -> None:
        self.level -= len(payload) * _BILLIONTHS


@dataclass(slots=True)
class Allocation:
    number: int
    home: int
    """The worker that it lives with."""
    five_tuple: RawFiveTuple
    relayed: dict[Family, Relayed]
    to_peer: Bucket
    to_client: Bucket
    channels: dict[int, Channel] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    second: RawFiveTuple | None = None
    second_until: int = 0
    errors_since: int = 0
    errors: int = 0

    def count_error(self, now: int) -> None:
        if now >= self.errors_since + SECOND:
            self.errors_since, self.errors = now, 0
        if self.errors == _ERRORS_A_SECOND:
            raise Drop("too_many_errors")
        self.errors += 1

    def open_second(self, path: RawFiveTuple, until: int) -> RawFiveTuple | None:
        """A second path to a client that moves (RFC 8016); returns the one that it replaces."""
        before = self.second
        self.second, self.second_until = path, until
        return None if before == path else before

    def leave(self, path: RawFiveTuple) -> bool:
        """Forget a path where there is another; whether it was forgotten."""
        if self.second is None or path not in (self.five_tuple, self.second):
            return False
        if path == self.five_tuple:
            self.five_tuple = self.second
        self.second = None
        return True

    def is_live(self, now: int) -> bool:
        return any(relayed.expires_at > now for relayed in self.relayed.values())

    def toward(self, peer: Address, absent: str, now: int) -> Relayed:
        """The relayed address that the peer is reached from; `absent`: why there is none."""
        relayed = self.relayed.get(peer.family)
        if relayed is None:
            raise Drop(absent)
        if relayed.expires_at <= now:
            raise Drop("no_allocation")
        return relayed

    def permit(self, ip: bytes, permission: Permission) -> None:
        if relayed := self.relayed.get(Family.of(ip)):
            relayed.permissions[ip] = permission

    def bind(self, number: int, channel: Channel) -> None:
        """Number and peer belong to each other from now on and to nothing else."""
        if channel.peer.family not in self.relayed:
            return
        others = {n: other for n, other in self.channels.items() if other.peer != channel.peer}
        self.channels = others | {number: channel}

    def forget_channels(self, family: Family) -> None:
        kept = {n: it for n, it in self.channels.items() if it.peer.family is not family}
        self.channels = kept

    def number_of(self, peer: Address, now: int) -> int | None:
        """The channel bound to exactly this peer (RFC 8656 §12.7)."""
        for number, channel in self.channels.items():
            if channel.peer == peer and channel.expires_at > now:
                return number
        return None

    def framed(self, peer: Address, payload: bytes, now: int) -> bytes:
        """A payload from a peer as it goes to the client (RFC 8656 §11.3, §12.7)."""
        if not self.toward(peer, "no_permission", now).permits(peer.ip, now):
            raise Drop("no_permission")
        number = self.number_of(peer, now)
        try:
            if number is None:
                return data_indication(peer, Attribute.DATA, payload)
            in_stream = Transport(self.five_tuple[0]).is_stream
            return encode_channel_data(number, payload, padded=in_stream)
        except ValueError:  # longer than 16 bits can tell
            raise Drop("too_long") from None


def data_indication(peer: Address, attribute: int, value: bytes) -> bytes:
    """RFC 8656 §11.3, §11.5; ValueError for a value that no message can hold."""
    transaction_id = token_bytes(12)
    attributes = [
        (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)),
        (attribute, value),
    ]
    return encode(MessageClass.INDICATION, Method.DATA, transaction_id, attributes)
