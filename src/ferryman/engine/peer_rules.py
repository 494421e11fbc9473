"""Which peers a client may reach through its relayed address (RFC 8656 §21.2.2, §21.4).

An IPv6 address is refused when it is refused itself or when any IPv4 address embedded in it is.
Knows nothing of allocations: that another live allocation's relayed address is a good peer, even
on one of this server's own addresses, is for whoever holds the allocations.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from heapq import heappop, heappush
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from ferryman.engine import special_ranges
from ferryman.engine.embedded_ipv4 import embedded_ipv4
from ferryman.engine.special_ranges import Range


@dataclass(frozen=True, slots=True)
class PeerRule:
    """Addresses from `first` to `last`, both included; `text` names it in the log."""

    first: bytes
    last: bytes
    text: str


class PeerPolicy(Enum):
    """What holds for an address that no rule of the operator names.

    Both refuse the server's own addresses. PUBLIC refuses whatever is not an ordinary public
    address besides; COTURN opens everything but the few ranges that are never a peer.
    """

    PUBLIC = "public"
    COTURN = "coturn"


# A range and what holds in it: the text of the rule that refuses, or None for a good peer.
_Layer = tuple[bytes, bytes, str | None]


class _Verdicts:
    """Addresses of one length, cut into ranges by the first layer that covers each of them."""

    __slots__ = ("_starts", "_texts")

    def __init__(self, layers: list[_Layer], length: int) -> None:
        self._starts: list[int] = []
        self._texts: list[str | None] = []
        spans = [
            (int.from_bytes(first), int.from_bytes(last), text)
            for first, last, text in layers
            if len(first) == length
        ]
        by_start = sorted(range(len(spans)), key=lambda rank: spans[rank][0])
        cuts = sorted({0} | {span[0] for span in spans} | {span[1] + 1 for span in spans})
        self._sweep(spans, by_start, cuts)

    def _sweep(
        self, spans: list[tuple[int, int, str | None]], by_start: list[int], cuts: list[int]
    ) -> None:
        """Fill the table in one pass; the lowest rank that is open at a cut holds from there."""
        open_ranks: list[int] = []
        waiting = 0
        for cut in cuts:
            while waiting < len(by_start) and spans[by_start[waiting]][0] <= cut:
                heappush(open_ranks, by_start[waiting])
                waiting += 1
            while open_ranks and spans[open_ranks[0]][1] < cut:
                heappop(open_ranks)
            self._starts.append(cut)
            self._texts.append(spans[open_ranks[0]][2] if open_ranks else None)

    def of(self, ip: bytes) -> str | None:
        return self._texts[bisect_right(self._starts, int.from_bytes(ip)) - 1]

    def any_good(self, first: bytes, last: bytes) -> bool:
        """Whether one address from `first` to `last` is a good peer."""
        at = bisect_right(self._starts, int.from_bytes(first)) - 1
        end = bisect_right(self._starts, int.from_bytes(last))
        return None in self._texts[at:end]


@dataclass(frozen=True)
class PeerRules:
    """The rules of one server; a question costs a binary search.

    `own`: this server's addresses (4 or 16 bytes), as bound and as advertised. `allowed` wins
    over `denied`; neither opens what is never a peer.
    """

    policy: PeerPolicy
    allowed: tuple[PeerRule, ...]
    denied: tuple[PeerRule, ...]
    allow_loopback: bool
    no_multicast: bool
    own: frozenset[bytes]
    _ipv4: _Verdicts = field(init=False, repr=False, compare=False)
    _ipv6: _Verdicts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        layers = self._layers()
        object.__setattr__(self, "_ipv4", _Verdicts(layers, 4))
        object.__setattr__(self, "_ipv6", _Verdicts(layers, 16))

    def refusal(self, ip: bytes) -> str | None:
        """None for a good peer, else the text of the rule that refuses it. `ip`: 4 or 16 bytes."""
        if len(ip) == 4:
            return self._ipv4.of(ip)
        text = self._ipv6.of(ip)
        if text is not None:
            return text
        for ipv4 in embedded_ipv4(ip):
            text = self._ipv4.of(ipv4)
            if text is not None:
                return f"{text} (inside it: {IPv4Address(ipv4)})"
        return None

    def with_own(self, own: frozenset[bytes]) -> PeerRules:
        """The same rules after the server's addresses have changed."""
        return replace(self, own=own)

    def open_private_ranges(self) -> tuple[str, ...]:
        """The private ranges in which some peer is good though no `allowed` rule asked for it."""
        unasked = replace(self, allowed=())
        return tuple(
            row.name
            for row in special_ranges.PRIVATE
            if unasked._ipv4.any_good(row.first, row.last)
        )

    def _layers(self) -> list[_Layer]:
        """Every rule in the order in which it counts."""
        public = self.policy is PeerPolicy.PUBLIC
        layers = _refused("never a peer", special_ranges.NEVER)
        if not self.allow_loopback:
            layers += _refused("no allow-loopback-peers", special_ranges.LOOPBACK)
        if self.no_multicast or public:
            layers += _refused(
                "no-multicast-peers" if self.no_multicast else "peer-policy=public",
                special_ranges.MULTICAST,
            )
        if not public:
            layers += _refused("never a peer", special_ranges.UNIQUE_LOCAL)
        layers += [(rule.first, rule.last, None) for rule in self.allowed]
        layers += [(rule.first, rule.last, rule.text) for rule in self.denied]
        layers += self._own_layers()
        return layers + _public_layers() if public else layers

    def _own_layers(self) -> list[_Layer]:
        """What no rule names and is this server's. Loopback comes first: it is good only if asked
        for."""
        layers: list[_Layer] = [(row.first, row.last, None) for row in special_ranges.LOOPBACK]
        return layers + [(ip, ip, "this server's own address") for ip in self.own]


def _public_layers() -> list[_Layer]:
    layers: list[_Layer] = [(row.first, row.last, None) for row in special_ranges.TRANSLATED]
    return layers + _refused("peer-policy=public", special_ranges.NOT_PUBLIC)


def _refused(reason: str, ranges: Iterable[Range]) -> list[_Layer]:
    return [(row.first, row.last, f"{reason}: {row.name}") for row in ranges]


def parse_peer_rule(text: str, source: str) -> PeerRule:
    """A rule from `10.0.0.0/8`, `10.0.0.1` or `10.0.0.0-10.0.0.255`; `source` is its log name.

    Raises ValueError that says what was expected.
    """
    if "/" in text:
        first, last = _network(text)
    elif "-" in text:
        start, _, end = text.partition("-")
        first, last = _address(start.strip()), _address(end.strip())
    else:
        first = last = _address(text)
    if first.version != last.version:
        raise ValueError("expected a range within one address family")
    if first.packed > last.packed:
        raise ValueError("expected the lower address of the range first")
    return PeerRule(first.packed, last.packed, source)


_Ip = IPv4Address | IPv6Address


def _network(text: str) -> tuple[_Ip, _Ip]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected a network such as 10.0.0.0/8 or fd00::/8") from None
    written = text.partition("/")[0]
    if _address(written) != network.network_address:
        raise ValueError(f"expected {network}, the network that {written} lies in")
    return network[0], network[-1]


def _address(text: str) -> _Ip:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(
            "expected an address, a network (10.0.0.0/8) or a range (10.0.0.0-10.0.0.255)"
        ) from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("expected an address without a zone")
    return address
