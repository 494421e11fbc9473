"""The flow table of the packet path in plain Python (RFC 8656 §9, §11, §12): commands and packets
in, verdicts out, word for word as `_native.Table` gives them.

To be read, and for the native table to be held against. Knows no socket and no clock. Unlike its
twin it never forgets what has expired, so that a difference shows if forgetting ever counts. Of
several workers it knows one thing: what goes from one to another is counted as over the network.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final, TypeAlias, TypeVar

from ferryman.datapath.door import Command, RawFiveTuple
from ferryman.datapath.fake_allocation import (
    Allocation,
    Bucket,
    Channel,
    Drop,
    Permission,
    Relayed,
    data_indication,
)
from ferryman.datapath.fake_binding import BindingAnswers
from ferryman.datapath.fake_reader import Unusable, header_untrusted, send_indication_untrusted
from ferryman.engine.five_tuple import Transport
from ferryman.wire.address import Address, Family
from ferryman.wire.channel_data import decode_channel_data_untrusted
from ferryman.wire.errors import Malformed
from ferryman.wire.registry import (
    MAX_REQUEST,
    Attribute,
    MessageClass,
    Method,
)
from ferryman.wire.values import (
    encode_icmp,
)

Verdict: TypeAlias = tuple[Any, ...]
"""("answer", bytes, from ip, from port, to ip, to port), ("ask",),
("peer", allocation, ip, port, payload, dont_fragment),
("client", allocation, bytes as they would leave) or ("drop", reason)."""

RawUsage: TypeAlias = tuple[int, int, int, int, int]
"""Packets and bytes sent, packets and bytes received, packets dropped."""

_Key = TypeVar("_Key")
_TOLD: Final = {Family.IPV4: (3, 11), Family.IPV6: (1, 2, 3)}
"""ICMP types that a client is told of (RFC 8656 §11.5)."""


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
        self._allocations: dict[int, Allocation] = {}
        self._by_client: dict[RawFiveTuple, Allocation] = {}
        self._by_bound: dict[Address, Allocation] = {}
        self._by_relayed: dict[Address, Allocation] = {}
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
        buckets = Bucket(bytes_per_second), Bucket(bytes_per_second)
        home = five_tuple[5] % self._workers
        allocation = Allocation(number, home, five_tuple, {}, *buckets)
        self._allocations[number] = allocation
        self._by_client[five_tuple] = allocation
        self._add_relayed(
            allocation, bound_ip, bound_port, advertised_ip, advertised_port, expires_at
        )

    def _add_relayed(
        self,
        allocation: Allocation,
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
        allocation.relayed[bound.family] = Relayed(bound, advertised, expires_at)
        self._by_bound[bound] = allocation
        self._by_relayed |= {bound: allocation, advertised: allocation}

    def _close_relayed(self, allocation: Allocation, number: int) -> None:
        """RFC 8656 §8.1: its permissions and channels go with it, and no others."""
        relayed = allocation.relayed.pop(Family(number), None)
        if relayed is not None:
            allocation.forget_channels(Family(number))
            names = (relayed.bound, relayed.advertised)
            self._by_bound = _without(allocation, self._by_bound, names)
            self._by_relayed = _without(allocation, self._by_relayed, names)

    def _move(self, allocation: Allocation, path: RawFiveTuple, until: int) -> None:
        if allocation.five_tuple != path:
            self._forget(allocation, allocation.open_second(path, until))
            self._by_client[path] = allocation

    def _leave(self, allocation: Allocation, path: RawFiveTuple) -> None:
        if allocation.leave(path):
            self._forget(allocation, path)

    def _forget(self, allocation: Allocation, path: RawFiveTuple | None) -> None:
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
        except (Unusable, Drop) as reason:
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
                raise Drop("unexpected")
            if not allocation.toward(peer, "no_permission", now).permits(peer.ip, now):
                raise Drop("no_permission")
            allocation.count_error(now)
        except Drop as reason:
            return ("drop", str(reason))
        tells_mtu = (kind, code) == (3, 4) if peer.family is Family.IPV4 else kind == 2
        value = encode_icmp(kind, code, mtu if tells_mtu else 0)
        return ("client", allocation.number, data_indication(peer, Attribute.ICMP, value))

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
            raise Drop("port_zero")
        if not relayed.permits(peer.ip, now):
            raise Drop("no_permission")
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
            raise Drop("no_channel")
        sender.toward(channel.peer, "wrong_family", now)
        return self._toward(sender, channel.peer, channel.relayed_only, payload, now)

    def _live(self, five_tuple: RawFiveTuple, now: int) -> Allocation:
        allocation = self._by_client.get(five_tuple)
        if allocation is None or not allocation.is_live(now):
            raise Drop("no_allocation")
        if allocation.second == five_tuple and allocation.second_until <= now:
            raise Drop("no_allocation")
        return allocation

    def _arrived(self, sender: Allocation, path: RawFiveTuple) -> None:
        """What came over the path that a client moves to has moved it (RFC 8016 §3.2.2)."""
        if sender.second == path:
            self._leave(sender, sender.five_tuple)
            self._moved = sender.number

    def _toward(
        self,
        sender: Allocation,
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
            raise Drop("own_address")
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
    gone: Allocation, held: dict[_Key, Allocation], keys: Container[_Key]
) -> dict[_Key, Allocation]:
    return {
        key: allocation
        for key, allocation in held.items()
        if allocation is not gone or key not in keys
    }


def _change(allocation: Allocation, word: int, *rest: Any) -> None:
    if word == 2:
        for relayed in allocation.relayed.values():
            (relayed.expires_at,) = rest
    elif word == 12:
        family, expires_at = rest
        if only := allocation.relayed.get(Family(family)):
            only.expires_at = expires_at
    elif word == 4:
        peer_ip, relayed_only, expires_at = rest
        allocation.permit(peer_ip, Permission(relayed_only, expires_at))
    elif word == 5:
        number, peer_ip, peer_port, relayed_only, expires_at = rest
        channel = Channel(Address(peer_ip, peer_port), relayed_only, expires_at)
        allocation.bind(number, channel)


def _received(allocation: Allocation, peer: Address, payload: bytes, now: int) -> Verdict:
    """A packet at the relay socket, or as if it had come there."""
    try:
        framed = allocation.framed(peer, payload, now)
        allocation.to_client.check(payload, now)
    except Drop as reason:
        allocation.usage.dropped_packets += 1
        return ("drop", str(reason))
    _count_received(allocation, payload)
    return ("client", allocation.number, framed)


def _count_sent(allocation: Allocation, payload: bytes) -> None:
    allocation.to_peer.take(payload)
    allocation.usage.sent_packets += 1
    allocation.usage.sent_bytes += len(payload)


def _count_received(allocation: Allocation, payload: bytes) -> None:
    allocation.to_client.take(payload)
    allocation.usage.received_packets += 1
    allocation.usage.received_bytes += len(payload)
