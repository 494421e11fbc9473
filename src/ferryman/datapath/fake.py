"""The flow table of the packet path in plain Python (RFC 8656 §9, §11, §12): commands and packets
in, verdicts out, word for word as `_native.Table` gives them.

To be read, and for the native table to be held against. Knows no socket and no clock. Unlike its
twin it never forgets what has expired, so that a difference shows if forgetting ever counts. Of
several workers it knows one thing: what goes from one to another is counted as over the network.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ferryman.datapath.door import Command, RawFiveTuple
from ferryman.datapath.fake_binding import BindingAnswers
from ferryman.datapath.fake_reader import Unusable, header_untrusted, send_indication_untrusted
from ferryman.engine.five_tuple import Transport
from ferryman.engine.settings import SECOND
from ferryman.wire.address import Address, Family
from ferryman.wire.channel_data import decode_channel_data_untrusted, encode_channel_data
from ferryman.wire.errors import Malformed
from ferryman.wire.message import encode
from ferryman.wire.registry import (
    MAX_REQUEST,
    Attribute,
    MessageClass,
    Method,
)
from ferryman.wire.values import (
    encode_icmp,
    encode_xor_address,
)

Verdict: TypeAlias = tuple[Any, ...]
"""("answer", bytes, from ip, from port, to ip, to port), ("ask",),
("peer", allocation, ip, port, payload, dont_fragment),
("client", allocation, bytes as they would leave) or ("drop", reason)."""

RawUsage: TypeAlias = tuple[int, int, int, int, int]
"""Packets and bytes sent, packets and bytes received, packets dropped."""

_Key = TypeVar("_Key")
_TOLD: Final = {Family.IPV4: (3, 11), Family.IPV6: (1, 2, 3)}
"""ICMP types that a client is told of (RFC 8656 §11.5), at most so many in a second."""
_ERRORS_A_SECOND: Final = 10
_LEAST_BURST: Final = 65_536
_BILLIONTHS: Final = 1_000_000_000


class _Drop(Exception):
    """Why a packet that could be read goes nowhere; the text is the reason's name."""


@dataclass(slots=True)
class _Usage:
    sent_packets: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    dropped_packets: int = 0


class _Permission(NamedTuple):
    relayed_only: bool
    expires_at: int


class _Channel(NamedTuple):
    peer: Address
    relayed_only: bool
    expires_at: int


@dataclass(slots=True)
class _Relayed:
    bound: Address
    advertised: Address
    expires_at: int
    permissions: dict[bytes, _Permission] = field(default_factory=dict)

    def permits(self, ip: bytes, now: int) -> bool:
        permission = self.permissions.get(ip)
        return permission is not None and permission.expires_at > now


@dataclass(slots=True)
class _Bucket:
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
            raise _Drop("over_bandwidth")

    def take(self, payload: bytes) -> None:
        self.level -= len(payload) * _BILLIONTHS


@dataclass(slots=True)
class _Allocation:
    number: int
    home: int
    """The worker that it lives with."""
    five_tuple: RawFiveTuple
    relayed: dict[Family, _Relayed]
    to_peer: _Bucket
    to_client: _Bucket
    channels: dict[int, _Channel] = field(default_factory=dict)
    usage: _Usage = field(default_factory=_Usage)
    second: RawFiveTuple | None = None
    second_until: int = 0
    errors_since: int = 0
    errors: int = 0

    def count_error(self, now: int) -> None:
        if now >= self.errors_since + SECOND:
            self.errors_since, self.errors = now, 0
        if self.errors == _ERRORS_A_SECOND:
            raise _Drop("too_many_errors")
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

    def toward(self, peer: Address, absent: str, now: int) -> _Relayed:
        """The relayed address that the peer is reached from; `absent`: why there is none."""
        relayed = self.relayed.get(peer.family)
        if relayed is None:
            raise _Drop(absent)
        if relayed.expires_at <= now:
            raise _Drop("no_allocation")
        return relayed

    def permit(self, ip: bytes, permission: _Permission) -> None:
        if relayed := self.relayed.get(Family.of(ip)):
            relayed.permissions[ip] = permission

    def bind(self, number: int, channel: _Channel) -> None:
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
            raise _Drop("no_permission")
        number = self.number_of(peer, now)
        try:
            if number is None:
                return _data_indication(peer, Attribute.DATA, payload)
            in_stream = Transport(self.five_tuple[0]).is_stream
            return encode_channel_data(number, payload, padded=in_stream)
        except ValueError:  # longer than 16 bits can tell
            raise _Drop("too_long") from None


class FakeTable:
    """Every allocation with its permissions and channels, and the verdict on each packet."""

    def __init__(
        self,
        *,
        fingerprint: bool = False,
        mapped_address: bool = False,
        software: bool = False,
        binding: str = "everyone",
        workers: int = 1,
    ) -> None:
        self._workers = workers
        self._answers = BindingAnswers(fingerprint, mapped_address, software)
        self._binding = binding
        self.offer_discovery = self._answers.offer
        self.withdraw_discovery = self._answers.withdraw
        self._allocations: dict[int, _Allocation] = {}
        self._by_client: dict[RawFiveTuple, _Allocation] = {}
        self._by_bound: dict[Address, _Allocation] = {}
        self._by_relayed: dict[Address, _Allocation] = {}
        self._moved: int | None = None

    def apply(self, command: Command) -> RawUsage | None:
        """Obey a command of the datapath; CloseAllocation returns what was carried."""
        word, *rest = command
        if word == 1:
            self._open(*rest)
        elif word == 3:
            return self._close(*rest)
        elif allocation := self._allocations.get(rest[0]):
            if word == 6:
                self._add_relayed(allocation, *rest[1:])
            elif word == 13:
                self._close_relayed(allocation, *rest[1:])
            elif word == 7:
                self._move(allocation, *rest[1:])
            elif word == 14:
                self._leave(allocation, *rest[1:])
            else:
                _change(allocation, word, *rest[1:])
        return None

    def _open(
        self,
        number: int,
        five_tuple: RawFiveTuple,
        bound_ip: bytes,
        bound_port: int,
        advertised_ip: bytes,
        advertised_port: int,
        expires_at: int,
        bytes_per_second: int,
    ) -> None:
        if number in self._allocations:
            return
        buckets = _Bucket(bytes_per_second), _Bucket(bytes_per_second)
        home = five_tuple[5] % self._workers
        allocation = _Allocation(number, home, five_tuple, {}, *buckets)
        self._allocations[number] = allocation
        self._by_client[five_tuple] = allocation
        self._add_relayed(
            allocation, bound_ip, bound_port, advertised_ip, advertised_port, expires_at
        )

    def _add_relayed(
        self,
        allocation: _Allocation,
        bound_ip: bytes,
        bound_port: int,
        advertised_ip: bytes,
        advertised_port: int,
        expires_at: int,
    ) -> None:
        bound = Address(bound_ip, bound_port)
        advertised = Address(advertised_ip, advertised_port)
        if bound.family in allocation.relayed:
            return
        allocation.relayed[bound.family] = _Relayed(bound, advertised, expires_at)
        self._by_bound[bound] = allocation
        self._by_relayed |= {bound: allocation, advertised: allocation}

    def _close_relayed(self, allocation: _Allocation, number: int) -> None:
        """RFC 8656 §8.1: its permissions and channels go with it, and no others."""
        relayed = allocation.relayed.pop(Family(number), None)
        if relayed is not None:
            allocation.forget_channels(Family(number))
            names = (relayed.bound, relayed.advertised)
            self._by_bound = _without(allocation, self._by_bound, names)
            self._by_relayed = _without(allocation, self._by_relayed, names)

    def _move(self, allocation: _Allocation, path: RawFiveTuple, until: int) -> None:
        if allocation.five_tuple != path:
            self._forget(allocation, allocation.open_second(path, until))
            self._by_client[path] = allocation

    def _leave(self, allocation: _Allocation, path: RawFiveTuple) -> None:
        if allocation.leave(path):
            self._forget(allocation, path)

    def _forget(self, allocation: _Allocation, path: RawFiveTuple | None) -> None:
        if path is not None and self._by_client.get(path) is allocation:
            del self._by_client[path]

    def _close(self, number: int) -> RawUsage | None:
        allocation = self._allocations.pop(number, None)
        if allocation is None:
            return None
        # Whoever took over the client or an address keeps it.
        for family in tuple(allocation.relayed):
            self._close_relayed(allocation, family)
        for path in (allocation.five_tuple, allocation.second):
            self._forget(allocation, path)
        usage = allocation.usage
        return (
            usage.sent_packets,
            usage.sent_bytes,
            usage.received_packets,
            usage.received_bytes,
            usage.dropped_packets,
        )

    def from_client(self, five_tuple: RawFiveTuple, packet: bytes, now: int) -> Verdict:
        """What is to be done with a packet (in a stream: one frame) that a client sent."""
        try:
            if not packet or packet[0] >= 0x80:
                raise Unusable("not_turn")
            if packet[0] >= 0x40:
                return self._channel_data(five_tuple, packet, now)
            return self._stun(five_tuple, packet, now)
        except (Unusable, _Drop) as reason:
            if allocation := self._by_client.get(five_tuple):
                allocation.usage.dropped_packets += 1
            return ("drop", str(reason))

    def take_moved(self) -> int | None:
        """The allocation whose client the last packet from a client has moved, asked once."""
        moved, self._moved = self._moved, None
        return moved

    def from_peer(
        self,
        bound_ip: bytes,
        bound_port: int,
        peer_ip: bytes,
        peer_port: int,
        payload: bytes,
        now: int,
    ) -> Verdict:
        """What is to be done with a packet that came from a peer to a relay socket."""
        allocation = self._by_bound.get(Address(bound_ip, bound_port))
        if allocation is None:
            return ("drop", "no_allocation")
        return _received(allocation, Address(peer_ip, peer_port), payload, now)

    def from_network(
        self,
        bound_ip: bytes,
        bound_port: int,
        peer_ip: bytes,
        peer_port: int,
        kind: int,
        code: int,
        mtu: int,
        now: int,
    ) -> Verdict:
        """What is to be done with an ICMP error about a packet to a peer (RFC 8656 §11.5)."""
        allocation = self._by_bound.get(Address(bound_ip, bound_port))
        peer = Address(peer_ip, peer_port)
        if allocation is None:
            return ("drop", "no_allocation")
        try:
            if kind not in _TOLD[peer.family]:
                raise _Drop("unexpected")
            if not allocation.toward(peer, "no_permission", now).permits(peer.ip, now):
                raise _Drop("no_permission")
            allocation.count_error(now)
        except _Drop as reason:
            return ("drop", str(reason))
        tells_mtu = (kind, code) == (3, 4) if peer.family is Family.IPV4 else kind == 2
        value = encode_icmp(kind, code, mtu if tells_mtu else 0)
        return ("client", allocation.number, _data_indication(peer, Attribute.ICMP, value))

    def _stun(self, five_tuple: RawFiveTuple, packet: bytes, now: int) -> Verdict:
        message_class, method = header_untrusted(packet)
        if message_class is MessageClass.REQUEST:
            if len(packet) > MAX_REQUEST:
                raise Unusable("too_long")
            return self._answer(five_tuple, packet) if method == Method.BINDING else ("ask",)
        if (message_class, method) == (MessageClass.INDICATION, Method.SEND):
            return self._send(five_tuple, packet, now)
        raise Unusable("unexpected")

    def _answer(self, five_tuple: RawFiveTuple, packet: bytes) -> Verdict:
        """A drop here is nobody's: the table has passed the packet on."""
        if self._binding == "proved":
            return ("ask",)
        if self._binding == "nobody":
            return ("drop", "not_served")
        try:
            answer = self._answers.answer_untrusted(five_tuple, packet)
        except Malformed:
            return ("drop", "malformed")
        return ("answer", answer.message, *answer.origin, *answer.to)

    def _send(self, five_tuple: RawFiveTuple, packet: bytes, now: int) -> Verdict:
        """RFC 8656 §11.2."""
        sender = self._live(five_tuple, now)
        peer, payload, wanted = send_indication_untrusted(packet)
        self._arrived(sender, five_tuple)
        relayed = sender.toward(peer, "wrong_family", now)
        if peer.port == 0:
            raise _Drop("port_zero")
        if not relayed.permits(peer.ip, now):
            raise _Drop("no_permission")
        relayed_only = relayed.permissions[peer.ip].relayed_only
        whole = wanted and _heeds_dont_fragment(five_tuple, peer)
        return self._toward(sender, peer, relayed_only, payload, now, dont_fragment=whole)

    def _channel_data(self, five_tuple: RawFiveTuple, packet: bytes, now: int) -> Verdict:
        """RFC 8656 §12.6: the channel is enough, no permission is asked for."""
        try:
            number, payload = decode_channel_data_untrusted(packet)
        except Malformed:
            raise Unusable("malformed") from None
        sender = self._live(five_tuple, now)
        self._arrived(sender, five_tuple)
        channel = sender.channels.get(number)
        if channel is None or channel.expires_at <= now:
            raise _Drop("no_channel")
        sender.toward(channel.peer, "wrong_family", now)
        return self._toward(sender, channel.peer, channel.relayed_only, payload, now)

    def _live(self, five_tuple: RawFiveTuple, now: int) -> _Allocation:
        allocation = self._by_client.get(five_tuple)
        if allocation is None or not allocation.is_live(now):
            raise _Drop("no_allocation")
        if allocation.second == five_tuple and allocation.second_until <= now:
            raise _Drop("no_allocation")
        return allocation

    def _arrived(self, sender: _Allocation, path: RawFiveTuple) -> None:
        """What came over the path that a client moves to has moved it (RFC 8016 §3.2.2)."""
        if sender.second == path:
            self._leave(sender, sender.five_tuple)
            self._moved = sender.number

    def _toward(
        self,
        sender: _Allocation,
        peer: Address,
        relayed_only: bool,
        payload: bytes,
        now: int,
        *,
        dont_fragment: bool = False,
    ) -> Verdict:
        """To the live allocation whose relayed address that is, or out of the relay socket."""
        target = self._by_relayed.get(peer)
        if target is not None and target.home != sender.home:
            sender.to_peer.check(payload, now)
            source = sender.relayed[peer.family].advertised
            _count_sent(sender, payload)
            return _received(target, source, payload, now)
        if target is not None and target.relayed[peer.family].expires_at <= now:
            target = None
        if target is None and relayed_only:
            raise _Drop("own_address")
        sender.to_peer.check(payload, now)
        verdict: Verdict
        if target is not None:
            source = sender.relayed[peer.family].advertised
            framed = target.framed(source, payload, now)
            target.to_client.check(payload, now)
            _count_received(target, payload)
            verdict = ("client", target.number, framed)
        else:
            verdict = ("peer", sender.number, peer.ip, peer.port, payload, dont_fragment)
        _count_sent(sender, payload)
        return verdict


def _heeds_dont_fragment(client: RawFiveTuple, peer: Address) -> bool:
    """RFC 8656 §13 to §15: between datagrams for IPv4 on both sides alone, from a stream always."""
    over_ipv4 = Family.of(client[1]) is Family.IPV4 and peer.family is Family.IPV4
    return Transport(client[0]).is_stream or over_ipv4


def _without(
    gone: _Allocation, held: dict[_Key, _Allocation], keys: Container[_Key]
) -> dict[_Key, _Allocation]:
    return {
        key: allocation
        for key, allocation in held.items()
        if allocation is not gone or key not in keys
    }


def _change(allocation: _Allocation, word: int, *rest: Any) -> None:
    if word == 2:
        for relayed in allocation.relayed.values():
            (relayed.expires_at,) = rest
    elif word == 12:
        family, expires_at = rest
        if only := allocation.relayed.get(Family(family)):
            only.expires_at = expires_at
    elif word == 4:
        peer_ip, relayed_only, expires_at = rest
        allocation.permit(peer_ip, _Permission(relayed_only, expires_at))
    elif word == 5:
        number, peer_ip, peer_port, relayed_only, expires_at = rest
        channel = _Channel(Address(peer_ip, peer_port), relayed_only, expires_at)
        allocation.bind(number, channel)


def _received(allocation: _Allocation, peer: Address, payload: bytes, now: int) -> Verdict:
    """A packet at the relay socket, or as if it had come there."""
    try:
        framed = allocation.framed(peer, payload, now)
        allocation.to_client.check(payload, now)
    except _Drop as reason:
        allocation.usage.dropped_packets += 1
        return ("drop", str(reason))
    _count_received(allocation, payload)
    return ("client", allocation.number, framed)


def _count_sent(allocation: _Allocation, payload: bytes) -> None:
    allocation.to_peer.take(payload)
    allocation.usage.sent_packets += 1
    allocation.usage.sent_bytes += len(payload)


def _count_received(allocation: _Allocation, payload: bytes) -> None:
    allocation.to_client.take(payload)
    allocation.usage.received_packets += 1
    allocation.usage.received_bytes += len(payload)


def _data_indication(peer: Address, attribute: int, value: bytes) -> bytes:
    """RFC 8656 §11.3, §11.5; ValueError for a value that no message can hold."""
    transaction_id = token_bytes(12)
    attributes = [
        (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, transaction_id)),
        (attribute, value),
    ]
    return encode(MessageClass.INDICATION, Method.DATA, transaction_id, attributes)
