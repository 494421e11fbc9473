"""Answers to Binding requests in plain Python (RFC 8489 §6.3.1, RFC 5780 §6.1): the twin of the
native side's `binding`. Knows no allocation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ferryman.datapath.door import RawDiscovery, RawFiveTuple
from ferryman.engine.five_tuple import Transport
from ferryman.engine.reply import SOFTWARE
from ferryman.wire.address import Address, Family
from ferryman.wire.message import Message, decode_untrusted, encode
from ferryman.wire.registry import UNDERSTOOD, Attribute, ErrorCode, MessageClass, Method
from ferryman.wire.values import encode_address, encode_error, encode_types, encode_xor_address

_LISTED: Final = 64
"""How many unknown attributes an answer lists at most."""

_LONGEST_PADDING: Final = 1500
_CHANGE_IP: Final = 4
_CHANGE_PORT: Final = 2
_DISCOVERY: Final = frozenset(
    (Attribute.CHANGE_REQUEST, Attribute.RESPONSE_PORT, Attribute.PADDING)
)


class Answer(NamedTuple):
    """What is sent, from where to where."""

    message: bytes
    origin: Address
    to: Address


class _Bad(Exception):
    """An attribute of RFC 5780 that is malformed, or two that exclude each other."""


class _Asked(NamedTuple):
    change_ip: bool = False
    change_port: bool = False
    response_port: int | None = None
    padding: int | None = None


@dataclass(slots=True)
class BindingAnswers:
    """What an operator chose about the answers; `offers` by the family of the IPs."""

    fingerprint: bool = False
    mapped_address: bool = False
    software: bool = False
    offers: dict[Family, RawDiscovery] = field(default_factory=dict)

    def offer(self, addresses: RawDiscovery) -> None:
        """Where clients can discover; replaces what was said of the same family."""
        self.offers[Family.of(addresses[0][0])] = addresses

    def withdraw(self, family: int) -> None:
        """Clients can discover on no address of this family any more."""
        self.offers.pop(Family(family), None)

    def answer_untrusted(self, five_tuple: RawFiveTuple, packet: bytes) -> Answer:
        """The answer to a Binding request; raises Malformed when there is to be none."""
        request = decode_untrusted(packet)
        client, server = Address(*five_tuple[1:3]), Address(*five_tuple[3:5])
        corner = self._corner(server)
        is_datagram = five_tuple[0] == Transport.UDP
        understood = set(UNDERSTOOD[Method.BINDING])
        if corner is not None and is_datagram:
            understood |= _DISCOVERY
        unknown = request.unknown_required(understood)[:_LISTED]
        if unknown:
            types = (Attribute.UNKNOWN_ATTRIBUTES, encode_types(unknown))
            return Answer(self._error(request, ErrorCode.UNKNOWN_ATTRIBUTE, types), server, client)
        try:
            asked = _asked(request) if corner is not None and is_datagram else _Asked()
        except _Bad:
            return Answer(self._error(request, ErrorCode.BAD_REQUEST), server, client)
        limit = 4 * len(packet) if is_datagram else 2**16
        return self._success(request, asked, client, server, limit)

    def _success(
        self, request: Message, asked: _Asked, client: Address, server: Address, limit: int
    ) -> Answer:
        """The optional attributes go in by their weight, as far as 4 times the request reaches."""
        corner = self._corner(server)
        mapped = encode_xor_address(client, request.transaction_id)
        needed = {Attribute.XOR_MAPPED_ADDRESS: mapped}
        wanted: list[tuple[Attribute, bytes]] = []
        origin = server
        if corner is not None:
            origin = self._bound(corner.changed(asked.change_ip, asked.change_port))
            other = self._advertised(corner.changed(True, True))
            wanted.append((Attribute.OTHER_ADDRESS, encode_address(other)))
            if asked.padding is not None:
                length = min(-(-asked.padding // 4) * 4, _LONGEST_PADDING)
                wanted.append((Attribute.PADDING, bytes(length)))
            source = self._advertised(corner.changed(asked.change_ip, asked.change_port))
            wanted.append((Attribute.RESPONSE_ORIGIN, encode_address(source)))
        if corner is not None or self.mapped_address:
            wanted.append((Attribute.MAPPED_ADDRESS, encode_address(client)))
        if self.software:
            wanted.append((Attribute.SOFTWARE, SOFTWARE))
        for number, value in wanted:
            longer = needed | {number: value}
            if len(self._encoded(MessageClass.SUCCESS, request, longer)) <= limit:
                needed = longer
        to = Address(client.ip, asked.response_port or client.port)
        return Answer(self._encoded(MessageClass.SUCCESS, request, needed), origin, to)

    def _error(self, request: Message, code: ErrorCode, *more: tuple[Attribute, bytes]) -> bytes:
        attributes = dict([(Attribute.ERROR_CODE, encode_error(code)), *more])
        return self._encoded(MessageClass.ERROR, request, attributes)

    def _encoded(
        self, message_class: MessageClass, request: Message, attributes: Mapping[Attribute, bytes]
    ) -> bytes:
        return encode(
            message_class,
            Method.BINDING,
            request.transaction_id,
            list(attributes.items()),
            fingerprint=self.fingerprint or request.has_fingerprint,
        )

    def _corner(self, server: Address) -> _Corner | None:
        offer = self.offers.get(server.family)
        if offer is None or server.ip not in offer[0] or server.port not in offer[2]:
            return None
        return _Corner(offer[0].index(server.ip), offer[2].index(server.port), server.family)

    def _bound(self, corner: _Corner) -> Address:
        bound, _, ports = self.offers[corner.family]
        return Address(bound[corner.ip], ports[corner.port])

    def _advertised(self, corner: _Corner) -> Address:
        _, advertised, ports = self.offers[corner.family]
        return Address(advertised[corner.ip], ports[corner.port])


class _Corner(NamedTuple):
    """One of the four addresses: which IP, which port, of which family."""

    ip: int
    port: int
    family: Family

    def changed(self, ip: bool, port: bool) -> _Corner:
        """RFC 5780 §6.1, table 1."""
        return _Corner(self.ip ^ ip, self.port ^ port, self.family)


def _asked(request: Message) -> _Asked:
    change = request.first(Attribute.CHANGE_REQUEST)
    port = request.first(Attribute.RESPONSE_PORT)
    padding = request.first(Attribute.PADDING)
    if change is not None and len(change) != 4:
        raise _Bad
    if port is not None and (len(port) not in (2, 4) or port[:2] == b"\0\0"):
        raise _Bad
    if port is not None and padding is not None:
        raise _Bad
    flags = change[3] if change else 0
    return _Asked(
        bool(flags & _CHANGE_IP),
        bool(flags & _CHANGE_PORT),
        int.from_bytes(port[:2]) if port else None,
        None if padding is None else len(padding),
    )
