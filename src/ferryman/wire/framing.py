"""Messages out of a byte stream (RFC 8489 §6.2.2, RFC 8656 §12.5).

Does not know what the messages say: a STUN message is whole here, and no more than that.
"""

from __future__ import annotations

from typing import Final

from ferryman.wire.errors import Malformed
from ferryman.wire.registry import HEADER_LENGTH, MAGIC_COOKIE

_COOKIE: Final = MAGIC_COOKIE.to_bytes(4, "big")
_CHANNEL_HEADER: Final = 4


class StreamFrames:
    """Splits one direction of a TCP or TLS stream into STUN messages and ChannelData.

    Holds less than one message between calls, at most 64 KiB. Once the stream has lied nothing
    after that point can be trusted: every later call raises again.
    """

    __slots__ = ("_broken", "_pending")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._broken = False

    @property
    def pending(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._pending)

    def feed_untrusted(self, octets: bytes) -> list[bytes]:
        """Messages that are whole now, ChannelData without its padding.

        Raises Malformed as soon as the stream cannot be STUN or ChannelData; messages that the
        same octets completed are lost with the stream.
        """
        if self._broken:
            raise Malformed("the stream was malformed before")
        self._pending += octets
        try:
            return self._take_untrusted()
        except Malformed:
            self._broken = True
            self._pending.clear()
            raise

    def _take_untrusted(self) -> list[bytes]:
        pending = self._pending
        frames: list[bytes] = []
        at = 0
        while (extent := _extent_untrusted(pending[at : at + 8])) is not None:
            message, padded = extent
            if at + padded > len(pending):
                break
            frames.append(bytes(pending[at : at + message]))
            at += padded
        del pending[:at]
        return frames


def _extent_untrusted(head: bytes | bytearray) -> tuple[int, int] | None:
    """Size of the message that begins so, without and with padding; None while it is unknown.

    `head` is the first 8 bytes, or as many as have come.
    """
    if head and head[0] >= 0x80:
        raise Malformed("neither STUN nor ChannelData")
    if len(head) < _CHANNEL_HEADER:
        return None
    length = int.from_bytes(head[2:4], "big")
    if head[0] >= 0x40:
        size = _CHANNEL_HEADER + length
        return size, (size + 3) & ~3
    if length & 3:
        raise Malformed("length is not a multiple of 4")
    if not _COOKIE.startswith(head[4:8]):
        raise Malformed("no magic cookie")
    return HEADER_LENGTH + length, HEADER_LENGTH + length
