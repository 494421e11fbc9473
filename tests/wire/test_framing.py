"""Messages out of a byte stream, however it is cut (RFC 8489 §6.2.2, RFC 8656 §12.5)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.wire.channel_data import encode_channel_data
from ferryman.wire.errors import Malformed
from ferryman.wire.framing import StreamFrames

from .packets import channel_messages, damaged, header, messages, packet

LONGEST_STUN = header(0xFFFC) + bytes(0xFFFC)
LONGEST_CHANNEL_DATA = encode_channel_data(0x4000, bytes(0xFFFF), padded=True)

streams = st.lists(st.one_of(messages, channel_messages), max_size=6).map(b"".join)
cuts = st.lists(st.integers(1, 30), max_size=40)


def pieces(octets: bytes, sizes: Iterable[int]) -> list[bytes]:
    """The stream in pieces of these sizes, the last one as long as what is left."""
    cut = []
    for size in sizes:
        cut.append(octets[:size])
        octets = octets[size:]
    return [*cut, octets]


def outcome(cut: Iterable[bytes]) -> tuple[list[bytes], int] | None:
    """Messages and bytes pending; None when the stream is malformed."""
    stream, frames = StreamFrames(), []
    try:
        for piece in cut:
            frames += stream.feed_untrusted(piece)
    except Malformed:
        return None
    return frames, stream.pending


def bytewise(octets: bytes) -> list[bytes]:
    return [octets[at : at + 1] for at in range(len(octets))]


@given(st.lists(st.one_of(messages, channel_messages), max_size=6))
def test_whole_messages_come_out_in_order_without_padding(sent: list[bytes]) -> None:
    bare = [
        octets[: 4 + int.from_bytes(octets[2:4], "big")] if octets[0] >= 0x40 else octets
        for octets in sent
    ]
    assert outcome([b"".join(sent)]) == (bare, 0)


@given(st.one_of(streams, damaged(streams), st.binary(max_size=80)), cuts)
def test_it_does_not_matter_how_the_stream_is_cut(octets: bytes, sizes: list[int]) -> None:
    at_once = outcome([octets])
    assert outcome(pieces(octets, sizes)) == at_once
    assert outcome(bytewise(octets)) == at_once


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_no_bytes_raise_anything_but_malformed(cut: list[bytes]) -> None:
    outcome(cut)


@given(streams, cuts, st.integers(1, 19))
def test_no_byte_is_lost_and_none_is_made_up(octets: bytes, sizes: list[int], short: int) -> None:
    result = outcome(pieces(octets[:-short], sizes))
    assert result is not None
    frames, pending = result
    padding = sum(-len(frame) % 4 for frame in frames)
    assert sum(map(len, frames)) + padding + pending == len(octets[:-short])


def test_ten_messages_in_one_segment_are_ten_messages() -> None:
    assert StreamFrames().feed_untrusted(packet() * 10) == [packet()] * 10


def test_a_message_is_delivered_with_its_last_byte_and_not_before() -> None:
    stream = StreamFrames()
    octets = packet(bytes(8))
    for at in range(len(octets) - 1):
        assert stream.feed_untrusted(octets[at : at + 1]) == []
        assert stream.pending == at + 1
    assert stream.feed_untrusted(octets[-1:]) == [octets]
    assert stream.pending == 0


def test_channel_data_waits_for_its_padding() -> None:
    stream = StreamFrames()
    assert stream.feed_untrusted(b"\x40\0\0\1x") == []
    assert stream.feed_untrusted(b"\0\0") == []
    assert stream.feed_untrusted(b"\0") == [b"\x40\0\0\1x"]


@pytest.mark.parametrize(
    "lie",
    [b"\x80", b"\xff", header(2)[:4], header(0, cookie=0x2112A400)[:8], header(0)[:4] + b"\x20"],
)
def test_a_lie_is_found_at_the_byte_that_tells_it(lie: bytes) -> None:
    stream = StreamFrames()
    assert stream.feed_untrusted(packet() + lie[:-1]) == [packet()]
    with pytest.raises(Malformed):
        stream.feed_untrusted(lie[-1:])


def test_after_a_lie_the_stream_stays_malformed_and_holds_nothing() -> None:
    stream = StreamFrames()
    with pytest.raises(Malformed):
        stream.feed_untrusted(b"\xff" * 1000)
    for octets in (b"", packet()):
        with pytest.raises(Malformed, match="before"):
            stream.feed_untrusted(octets)
    assert stream.pending == 0


@pytest.mark.parametrize("longest", [LONGEST_STUN, LONGEST_CHANNEL_DATA])
def test_the_longest_messages_pass_and_nothing_longer_is_held(longest: bytes) -> None:
    stream = StreamFrames()
    assert stream.feed_untrusted(longest[:-1]) == []
    assert stream.pending == len(longest) - 1 < 0x10014
    (message,) = stream.feed_untrusted(longest[-1:])
    assert message == longest[: 4 + 0xFFFF if longest[0] else None]
    assert stream.pending == 0


def test_nothing_to_feed_changes_nothing() -> None:
    stream = StreamFrames()
    stream.feed_untrusted(packet()[:7])
    assert stream.feed_untrusted(b"") == []
    assert stream.feed_untrusted(packet()[7:]) == [packet()]
