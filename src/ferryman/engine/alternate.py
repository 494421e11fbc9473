"""Sending clients to another server: 300 and ALTERNATE-SERVER (RFC 8489 §10, RFC 8656 §7.2).

A stated list, gone through in turn; nobody looks whether the others are alive. Knows no request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.wire.address import Address, Family
from ferryman.wire.registry import Attribute
from ferryman.wire.values import encode_address


class Alternate(NamedTuple):
    """Another server; `domain` is the name that it was given by, empty for an address."""

    address: Address
    domain: str = ""


class Alternates:
    """Where the clients of each transport are sent; `ports` are those that this server has.

    A server that stands in the list itself serves: one list can be given to a front that sends
    everybody on and to all those behind it, and no client is ever sent round in a circle.
    """

    def __init__(
        self,
        lists: Mapping[Transport, Sequence[Alternate]] | None = None,
        ports: Set[int] = frozenset(),
    ) -> None:
        self._lists = dict(lists or {})
        self._ports = ports
        self._turn: dict[tuple[Transport, Family], int] = {}

    def candidates(
        self, client: FiveTuple, own: Set[bytes], *, leaving: bool = False
    ) -> list[Alternate]:
        """Those of the client's own family (RFC 8489 §10); none where this server, one of whose
        IPs is in `own`, is in the list. `leaving`: it serves nobody, and the others are left."""
        listed = self._lists.get(client.transport, ())
        others = [one for one in listed if not self._is_here(one, own)]
        if len(others) < len(listed) and not leaving:
            return []
        return [one for one in others if one.address.family is client.client.family]

    def _is_here(self, one: Alternate, own: Set[bytes]) -> bool:
        return one.address.ip in own and one.address.port in self._ports

    def next_for(
        self, client: FiveTuple, own: Set[bytes], *, leaving: bool = False
    ) -> Alternate | None:
        """The next in turn; None for a client that is not sent anywhere."""
        candidates = self.candidates(client, own, leaving=leaving)
        if not candidates:
            return None
        key = (client.transport, client.client.family)
        turn = self._turn.get(key, 0)
        self._turn[key] = turn + 1
        return candidates[turn % len(candidates)]


def encode_alternate(alternate: Alternate, transport: Transport) -> tuple[tuple[int, bytes], ...]:
    """ALTERNATE-SERVER, and ALTERNATE-DOMAIN where there is a certificate to hold against it."""
    address = (Attribute.ALTERNATE_SERVER, encode_address(alternate.address))
    if not alternate.domain or transport not in (Transport.TLS, Transport.DTLS):
        return (address,)
    return (address, (Attribute.ALTERNATE_DOMAIN, alternate.domain.encode()))
