"""A small arena: so few clients, peers, ports and numbers that what is drawn at random meets what
is there, and packets of every kind between them.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ferryman.datapath.door import RawDiscovery
from ferryman.wire.address import Address
from ferryman.wire.channel_data import encode_channel_data
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_xor_address

NOW = 1_000_000_000_000
TRANSACTION_ID = bytes(range(1, 13))

OUTSIDE = Address.of("203.0.113.1", 0).ip
INSIDE = Address.of("10.0.0.5", 0).ip
OUTSIDE_V6 = Address.of("2001:db8::1", 0).ip
PORTS = (50001, 50002, 50003)

_CLIENT = Address.of("192.0.2.200", 4000)
_CLIENT_V6 = Address.of("2001:db8::200", 4000)
_SERVER = Address(OUTSIDE, 3478)

CLIENTS = (
    (17, *_CLIENT, *_SERVER, 1),
    (6, *_CLIENT, *_SERVER, 8),
    (0x106, *_CLIENT, *_SERVER, 8),
    (17, *_CLIENT, *_SERVER, 2),
    (17, *_CLIENT_V6, OUTSIDE_V6, 3478, 3),
    (0x111, *_CLIENT, *_SERVER, 1),
)
"""UDP, TCP, TLS under the same number, UDP through another socket, IPv6, DTLS. With two workers,
each has three of them."""

DISCOVERY: RawDiscovery = (
    (OUTSIDE, Address.of("203.0.113.2", 0).ip),
    (Address.of("198.51.100.1", 0).ip, Address.of("198.51.100.2", 0).ip),
    (3478, 3479),
)
DISCOVERY_V6: RawDiscovery = (
    (Address.of("2001:db8::9", 0).ip, OUTSIDE_V6),
    (Address.of("2001:db8::9", 0).ip, OUTSIDE_V6),
    (3479, 3478),
)
"""Two of the four addresses are those that the clients speak to."""

NUMBERS = (0x4000, 0x4001, 0x4FFF, 0x7FFE)

RELAYED = tuple(Address(ip, port) for ip in (OUTSIDE, INSIDE, OUTSIDE_V6) for port in PORTS)
"""Every relayed address that an allocation can have, by both its names."""

SOCKETS = RELAYED[2:]
"""Where a relay socket can be bound, and one address where none is."""

PEERS = (
    Address.of("198.51.100.7", 7000),
    Address.of("198.51.100.7", 7001),
    Address.of("198.51.100.7", 0),
    Address.of("198.51.100.8", 7000),
    Address.of("2001:db8::7", 7000),
    Address.of("::198.51.100.7", 7000),  # the number of an IPv4 peer above
    Address(OUTSIDE, 22),
    *RELAYED,
)
PEER_IPS = tuple({peer.ip: None for peer in PEERS})

payloads = st.integers(0, 9).map(lambda length: bytes(range(0xA0, 0xA0 + length)))
booleans = st.booleans()


def send_indication(peer: Address, payload: bytes) -> bytes:
    return _send(
        [
            (Attribute.XOR_PEER_ADDRESS, encode_xor_address(peer, TRANSACTION_ID)),
            (Attribute.DATA, payload),
        ]
    )


def _send(attributes: list[tuple[int, bytes]]) -> bytes:
    return encode(MessageClass.INDICATION, Method.SEND, TRANSACTION_ID, attributes)


_peer_values = st.sampled_from(PEERS).map(lambda peer: encode_xor_address(peer, TRANSACTION_ID))
_odd_addresses = st.sampled_from(
    [b"", bytes(3), b"\0\1\0\0", bytes(8), b"\0\2" + bytes(6), b"\0\1" + bytes(18)]
) | _peer_values.map(lambda value: b"\xff" + value[1:])

_attributes: SearchStrategy[tuple[int, bytes]] = st.one_of(
    st.tuples(st.just(int(Attribute.XOR_PEER_ADDRESS)), _peer_values),
    st.tuples(st.just(int(Attribute.XOR_PEER_ADDRESS)), _odd_addresses),
    st.tuples(st.just(int(Attribute.DATA)), payloads),
    st.tuples(
        st.sampled_from(
            [
                Attribute.MESSAGE_INTEGRITY,
                Attribute.MESSAGE_INTEGRITY_SHA256,
                Attribute.FINGERPRINT,
                Attribute.DONT_FRAGMENT,
                Attribute.LIFETIME,
                Attribute.USE_CANDIDATE,
                Attribute.CHANGE_REQUEST,
                Attribute.RESPONSE_PORT,
                Attribute.PADDING,
                Attribute.SOFTWARE,
                0x7FFF,
                0x8000,
                0xFFFF,
            ]
        ).map(int),
        st.sampled_from([b"", bytes(4), bytes(20), bytes(32), b"ship!"]),
    ),
)
_others = st.lists(_attributes, max_size=3)


@st.composite
def _sends(draw: st.DrawFn) -> bytes:
    peer = (int(Attribute.XOR_PEER_ADDRESS), draw(_peer_values))
    payload = (int(Attribute.DATA), draw(payloads))
    needed = draw(st.sampled_from([(peer, payload), (payload, peer), (peer,), (payload,)]))
    attributes = draw(_others)
    for attribute in needed:
        attributes += [attribute, *draw(_others)]
    return _send(attributes)


@st.composite
def _channel_messages(draw: st.DrawFn) -> bytes:
    message = encode_channel_data(draw(st.sampled_from(NUMBERS)), draw(payloads), padded=False)
    return message + bytes(draw(st.integers(0, 4)))


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    return encode(
        draw(st.sampled_from(list(MessageClass))),
        draw(st.sampled_from([Method.BINDING, *Method, 0x081, 0xFFF])),
        draw(st.binary(min_size=12, max_size=12)),
        draw(_others),
        fingerprint=draw(booleans),
    )


_discovery: SearchStrategy[tuple[int, bytes]] = st.one_of(
    st.tuples(
        st.just(int(Attribute.CHANGE_REQUEST)),
        st.sampled_from([bytes((0, 0, 0, flags)) for flags in (0, 2, 4, 6, 255)]),
    ),
    st.tuples(
        st.just(int(Attribute.RESPONSE_PORT)),
        st.sampled_from([b"\x10\x01\0\0", b"\x10\x01", bytes(4), bytes(2)]),
    ),
    st.tuples(
        st.just(int(Attribute.PADDING)),
        st.sampled_from([0, 1, 4, 63, 1499, 1501, 2000]).map(bytes),
    ),
)


@st.composite
def _binding_requests(draw: st.DrawFn) -> bytes:
    some = st.lists(_attributes | _discovery, max_size=6)
    attributes = draw(some | st.lists(_discovery, max_size=3))
    fingerprint = draw(booleans)
    return encode(
        MessageClass.REQUEST, Method.BINDING, TRANSACTION_ID, attributes, fingerprint=fingerprint
    )


binding_requests = _binding_requests()
_long = st.sampled_from([4072, 4076]).map(
    lambda length: encode(
        MessageClass.REQUEST, Method.ALLOCATE, TRANSACTION_ID, [(0x8022, bytes(length))]
    )
)
send_indications = _sends()
good_packets = st.one_of(
    send_indications, _channel_messages(), _messages(), binding_requests, _long
)


@st.composite
def mutated(draw: st.DrawFn, origins: SearchStrategy[bytes]) -> bytes:
    packet = bytearray(draw(origins))
    octets = st.integers(0, 255) | st.sampled_from([0, 1, 4, 0x40, 0x80, 0xFF])
    for at, octet in draw(st.lists(st.tuples(st.integers(0, 60), octets), max_size=3)):
        packet[at % len(packet)] = octet
    cut = draw(st.integers(-4, 3))
    return bytes(packet[:cut]) if cut < 0 else bytes(packet) + bytes(cut)


mutated_binding_requests = mutated(binding_requests)
packets = st.one_of(good_packets, mutated(good_packets), st.binary(max_size=40))
