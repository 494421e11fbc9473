"""ChannelData messages (RFC 8656 §12.4 to §12.6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.wire.channel_data import decode_channel_data_untrusted, encode_channel_data
from ferryman.wire.errors import Malformed

from .packets import channel_messages, damaged


@given(st.integers(0x4000, 0x7FFF), st.binary(max_size=100), st.booleans())
def test_channel_data_comes_back(number: int, payload: bytes, padded: bool) -> None:
    message = encode_channel_data(number, payload, padded=padded)
    assert decode_channel_data_untrusted(message) == (number, payload)


@pytest.mark.parametrize(
    ("payload", "plain", "padded"),
    [
        (b"", "40010000", "40010000"),
        (b"\xff", "40010001ff", "40010001ff000000"),
        (b"\xff" * 3, "40010003ffffff", "40010003ffffff00"),
        (b"\xff" * 4, "40010004ffffffff", "40010004ffffffff"),
        (b"\xff" * 5, "40010005ffffffffff", "40010005ffffffffff000000"),
    ],
)
def test_padding_is_zero_and_not_counted(payload: bytes, plain: str, padded: str) -> None:
    assert encode_channel_data(0x4001, payload, padded=False).hex() == plain
    assert encode_channel_data(0x4001, payload, padded=True).hex() == padded


@pytest.mark.parametrize("extra", range(4))
@pytest.mark.parametrize("size", range(5))
def test_up_to_three_bytes_may_follow_the_payload(size: int, extra: int) -> None:
    packet = b"\x40\0\0" + bytes((size,)) + b"p" * size + b"\xff" * extra
    assert decode_channel_data_untrusted(packet) == (0x4000, b"p" * size)


@pytest.mark.parametrize(
    ("packet", "complaint"),
    [
        ("", "shorter"),
        ("40", "shorter"),
        ("400000", "shorter"),
        ("3fff0000", "not a channel"),
        ("80000000", "not a channel"),
        ("00000000", "not a channel"),
        ("ffff0000", "not a channel"),
        ("40000001", "length"),
        ("40000005ffffffff", "length"),
        ("4000ffffffffffff", "length"),
        ("4000000000000000", "length"),
        ("40000001ff00000000", "length"),
    ],
)
def test_lies_are_refused_by_name(packet: str, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        decode_channel_data_untrusted(bytes.fromhex(packet))


@given(st.one_of(st.binary(max_size=40), damaged(channel_messages)))
def test_no_bytes_raise_anything_but_malformed(packet: bytes) -> None:
    try:
        number, payload = decode_channel_data_untrusted(packet)
    except Malformed:
        return
    assert encode_channel_data(number, payload, padded=False) == packet[: 4 + len(payload)]


@pytest.mark.parametrize(
    ("number", "payload"), [(0x3FFF, b""), (0x8000, b""), (-1, b""), (0x4000, bytes(0x10000))]
)
def test_what_no_channel_can_carry_is_not_written(number: int, payload: bytes) -> None:
    with pytest.raises(ValueError, match="channel numbers"):
        encode_channel_data(number, payload, padded=False)


def test_the_longest_payload_is_written_and_read() -> None:
    payload = bytes(0xFFFF)
    message = encode_channel_data(0x4FFF, payload, padded=True)
    assert len(message) == 0x10004
    assert decode_channel_data_untrusted(message) == (0x4FFF, payload)
