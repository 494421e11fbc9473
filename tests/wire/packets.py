"""Packets put together by hand and the Hypothesis strategies of this room.

Deliberately written without `ferryman.wire.message`: a test that encoded with the code it checks
would agree with every mistake in it.
"""

from __future__ import annotations

from struct import pack

from hypothesis import strategies as st

from ferryman.wire.address import Address
from ferryman.wire.registry import MessageClass

TRANSACTION_ID = bytes(range(0x10, 0x1C))
BINDING_REQUEST = 0x0001


def attribute(number: int, value: bytes, padding: bytes = b"\0") -> bytes:
    return pack(">HH", number, len(value)) + value + padding * (-len(value) % 4)


def header(length: int, *, message_type: int = BINDING_REQUEST, cookie: int = 0x2112A442) -> bytes:
    return pack(">HHI", message_type, length, cookie) + TRANSACTION_ID


def packet(*attributes: bytes, message_type: int = BINDING_REQUEST) -> bytes:
    body = b"".join(attributes)
    return header(len(body), message_type=message_type) + body


transaction_ids = st.binary(min_size=12, max_size=12)
methods = st.integers(0, 0xFFF)
classes = st.sampled_from(MessageClass)
keys = st.binary(min_size=1, max_size=80)
values = st.binary(max_size=90)
plain_types = st.integers(0, 0xFFFF).filter(lambda number: number not in (0x0008, 0x001C, 0x8028))
plain_attributes = st.lists(st.tuples(plain_types, values), max_size=8)
addresses = st.builds(
    Address,
    st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    st.integers(0, 0xFFFF),
)

messages = st.builds(
    lambda kind, method, attributes: (
        pack(">HHI", method << 2 & 0x3E00 | method & 0xF | kind, len(attributes), 0x2112A442)
        + TRANSACTION_ID
        + attributes
    ),
    st.sampled_from((0x000, 0x010, 0x100, 0x110)),
    st.integers(0, 0xFFF),
    st.lists(
        st.builds(attribute, st.integers(0, 0xFFFF), values, st.binary(min_size=1, max_size=1)),
        max_size=5,
    ).map(b"".join),
)
"""Whole STUN messages with any attributes."""

channel_messages = st.builds(
    lambda number, payload, padding: (
        pack(">HH", number, len(payload)) + payload + padding * (-len(payload) % 4)
    ),
    st.integers(0x4000, 0x7FFF),
    st.binary(max_size=70),
    st.binary(min_size=1, max_size=1),
)
"""ChannelData as it lies in a stream, padded with anything."""


def damaged(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same bytes with a few overwritten, cut off or put in: nearly right is the worst."""
    return st.builds(_damage, strategy, st.lists(_DAMAGE, max_size=4))


_DAMAGE = st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=4))


def _damage(octets: bytes, damage: list[tuple[int, int, bytes]]) -> bytes:
    for at, lost, new in damage:
        at = min(at, len(octets))
        octets = octets[:at] + new + octets[at + lost :]
    return octets
