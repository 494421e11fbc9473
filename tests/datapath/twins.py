"""The native flow table and its readable twin, asked the same and made to agree."""

from __future__ import annotations

from typing import Any

from ferryman.datapath._native import Table
from ferryman.datapath.door import RawDiscovery
from ferryman.datapath.fake import FakeTable
from ferryman.wire.address import Address, Family

Verdict = tuple[Any, ...]
RawFiveTuple = tuple[int, bytes, int, bytes, int, int]


class Twins:
    """Every word goes to both tables; an answer in which they differ is a failed test."""

    def __init__(
        self,
        *,
        fingerprint: bool = False,
        mapped_address: bool = False,
        software: bool = False,
        binding: str = "everyone",
        workers: int = 1,
    ) -> None:
        for_both = {
            "fingerprint": fingerprint, "mapped_address": mapped_address, "software": software
        }  # fmt: skip
        self.native = Table(**for_both, binding=binding, workers=workers)
        self.fake = FakeTable(**for_both, binding=binding, workers=workers)
        self.transaction_ids: set[bytes] = set()

    def offer_discovery(self, addresses: RawDiscovery) -> None:
        self.native.offer_discovery(addresses)
        self.fake.offer_discovery(addresses)

    def withdraw_discovery(self, family: Family) -> None:
        self.native.withdraw_discovery(family)
        self.fake.withdraw_discovery(family)

    def apply(self, *command: object) -> tuple[int, int, int, int, int] | None:
        native, fake = self.native.apply(command), self.fake.apply(command)
        assert native == fake, command
        return native

    def from_client(self, five_tuple: RawFiveTuple, packet: bytes, now: int) -> Verdict:
        native = self.native.from_client(five_tuple, packet, now)
        agreed = self._agreed(native, self.fake.from_client(five_tuple, packet, now))
        assert self.native.take_moved() == self.fake.take_moved()
        return agreed

    def from_peer(self, bound: Address, peer: Address, payload: bytes, now: int) -> Verdict:
        native = self.native.from_peer(*bound, *peer, payload, now)
        return self._agreed(native, self.fake.from_peer(*bound, *peer, payload, now))

    def from_network(
        self, bound: Address, peer: Address, icmp: tuple[int, int, int], now: int
    ) -> Verdict:
        native = self.native.from_network(*bound, *peer, *icmp, now)
        return self._agreed(native, self.fake.from_network(*bound, *peer, *icmp, now))

    def _agreed(self, native: Verdict, fake: Verdict) -> Verdict:
        native, fake = self._unmasked(native), self._unmasked(fake)
        assert native == fake
        return native

    def _unmasked(self, verdict: Verdict) -> Verdict:
        """A Data indication without its random transaction id, which also hides an IPv6 peer."""
        if verdict[0] != "client" or verdict[2][0] >= 0x40:
            return verdict
        word, allocation, message = verdict
        transaction_id = message[8:20]
        assert transaction_id not in self.transaction_ids
        self.transaction_ids.add(transaction_id)
        unmasked = bytearray(message)
        unmasked[8:20] = bytes(12)
        if message[25] == 2:
            unmasked[32:44] = bytes(
                octet ^ mask for octet, mask in zip(message[32:44], transaction_id, strict=True)
            )
        return (word, allocation, bytes(unmasked))
