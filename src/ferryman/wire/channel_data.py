"""ChannelData messages (RFC 8656 §12.4).

Does not know whether a number is bound, nor which numbers may be.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from ferryman.wire.errors import Malformed

_HEADER: Final = Struct(">HH")
_MAX_PADDING: Final = 3


def encode_channel_data(number: int, payload: bytes, *, padded: bool) -> bytes:
    """`padded` fills up to a multiple of 4 with zeros: always over a stream (RFC 8656 §12.5).

    Raises ValueError for a number that is not a channel's or a payload over 65,535 bytes.
    """
    if not 0x4000 <= number <= 0x7FFF or len(payload) > 0xFFFF:
        raise ValueError("channel numbers are 0x4000 to 0x7FFF, payloads at most 65,535 bytes")
    message = _HEADER.pack(number, len(payload)) + payload
    return message + bytes(-len(payload) & 3) if padded else message


def decode_channel_data_untrusted(packet: bytes) -> tuple[int, bytes]:
    """Number and payload; up to three bytes of padding may follow (RFC 8656 §12.6)."""
    if len(packet) < _HEADER.size:
        raise Malformed("shorter than a ChannelData header")
    number, length = _HEADER.unpack_from(packet)
    if not 0x4000 <= number <= 0x7FFF:
        raise Malformed("not a channel number")
    end = _HEADER.size + length
    if not end <= len(packet) <= end + _MAX_PADDING:
        raise Malformed("ChannelData length is not that of the packet")
    return number, packet[_HEADER.size : end]
