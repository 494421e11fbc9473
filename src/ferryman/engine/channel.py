"""Channel bindings of one allocation (RFC 8656 §12): a number, a peer, and never two of either.

Knows nothing of peer rules and of the packets that use the channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from ferryman.engine.refusals import Refusal, Refused
from ferryman.wire.address import Address, Family


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """`free_at` is when the number and the peer may go different ways (RFC 8656 §12)."""

    number: int
    peer: Address
    expires_at: int
    free_at: int


class Channels:
    """The bindings of one allocation, by number and by peer; at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_number: dict[int, ChannelBinding] = {}
        self._by_peer: dict[Address, ChannelBinding] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def check(self, number: int, peer: Address, *, now: int) -> None:
        """Raise Refused unless the number can be bound, or refreshed, to the peer now."""
        bound = self._by_number.get(number)
        if bound is not None and bound.peer != peer and now < bound.free_at:
            raise Refused(Refusal.CHANNEL_TAKEN, f"0x{number:04X} is bound to {bound.peer}")
        bound = self._by_peer.get(peer)
        if bound is not None and bound.number != number and now < bound.free_at:
            raise Refused(Refusal.PEER_TAKEN, f"{peer} is bound to 0x{bound.number:04X}")
        if number not in self._by_number and not self._has_room(now=now):
            raise Refused(Refusal.TOO_MANY_CHANNELS, f"{self._capacity} are bound")

    def bind(self, binding: ChannelBinding) -> None:
        """Bind or refresh; `check` has said that it can be done."""
        self._drop(self._by_number.get(binding.number))
        self._drop(self._by_peer.get(binding.peer))
        self._by_number[binding.number] = binding
        self._by_peer[binding.peer] = binding

    def forget(self, family: Family) -> None:
        """The relayed address of this family is gone, and its channels with it."""
        for binding in list(self._by_number.values()):
            if binding.peer.family is family:
                self._drop(binding)

    def _has_room(self, *, now: int) -> bool:
        if len(self._by_number) >= self._capacity:
            for binding in list(self._by_number.values()):
                if binding.free_at <= now:
                    self._drop(binding)
        return len(self._by_number) < self._capacity

    def _drop(self, binding: ChannelBinding | None) -> None:
        if binding is not None:
            del self._by_number[binding.number]
            del self._by_peer[binding.peer]
