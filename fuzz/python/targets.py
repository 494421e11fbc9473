"""What is fuzzed of the Python side: targets take octets and raise only when a rule is broken.

A reader of bytes from outside may raise `Malformed` and nothing else; a configuration file may be
refused with `ConfigurationError` and nothing else; the engine answers and never raises.
"""

from __future__ import annotations

import contextlib
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engine.desk import Desk
from tests.tokens import NORTH, SERVER_NAME, seal_block

from ferryman.auth.access_token import decode_access_token_untrusted
from ferryman.config.load import load
from ferryman.config.problems import ConfigurationError
from ferryman.engine.five_tuple import Transport
from ferryman.server.stun_question import mapped_ip_untrusted
from ferryman.wire import values
from ferryman.wire.channel_data import decode_channel_data_untrusted, encode_channel_data
from ferryman.wire.errors import Malformed
from ferryman.wire.framing import StreamFrames
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, Method

METHODS = (
    Method.ALLOCATE,
    Method.REFRESH,
    Method.CREATE_PERMISSION,
    Method.CHANNEL_BIND,
    Method.CONNECT,
    Method.CONNECTION_BIND,
)
TRANSPORTS = tuple(Transport)
SEALS = (Attribute.MESSAGE_INTEGRITY, Attribute.MESSAGE_INTEGRITY_SHA256, Attribute.FINGERPRINT)
FILE = Path(tempfile.mkdtemp(prefix="ferryman-fuzz-")) / "turnserver.conf"
ARGUMENTS: dict[str, Any] = {"transaction_id": b"twelve bytes", "limit": 64}


def message(octets: bytes) -> None:
    """What was read is read again from what is written of it."""
    with contextlib.suppress(Malformed):
        read = decode_untrusted(octets)
        kept = [pair for pair in read.attributes if pair[0] not in SEALS]
        again = encode(read.message_class, read.method, read.transaction_id, kept)
        assert decode_untrusted(again).attributes == tuple(kept)


def attribute_values(octets: bytes) -> None:
    """Every decoder of a value, on the same octets."""
    for decode in DECODERS:
        takes = inspect.signature(decode).parameters
        extra = {name: value for name, value in ARGUMENTS.items() if name in takes}
        with contextlib.suppress(Malformed):
            decode(octets, **extra)


def channel_data(octets: bytes) -> None:
    with contextlib.suppress(Malformed):
        number, payload = decode_channel_data_untrusted(octets)
        assert octets.startswith(encode_channel_data(number, payload, padded=False))


def stream_frames(octets: bytes) -> None:
    """A stream gives the same messages however it is cut."""
    whole = _frames([octets])
    assert _frames([octets[at : at + 1] for at in range(len(octets))])[: len(whole)] == whole


def _frames(pieces: list[bytes]) -> list[bytes]:
    frames = StreamFrames()
    found: list[bytes] = []
    with contextlib.suppress(Malformed):
        for piece in pieces:
            found += frames.feed_untrusted(piece)
    return found


def strangers_request(octets: bytes) -> None:
    """Bytes from nowhere: an answer of at most four times their size, or none."""
    desk = Desk()
    outcome = desk.receive(desk.client().five_tuple, octets)
    for change in outcome.changes:
        assert len(getattr(change, "message", b"")) <= 4 * len(octets)


def proved_request(octets: bytes) -> None:
    """A request by somebody with a password, over an allocation or not: any attributes at all."""
    if not octets:
        return
    first = octets[0]
    client = Desk().client(transport=TRANSPORTS[first >> 4 & 3])
    if first & 0x80:
        client.allocate()
    attributes = _attributes(octets[1:])
    answer = client.request(METHODS[first % len(METHODS)], attributes)
    assert answer.code == 0 or 300 <= answer.code < 600


def _attributes(octets: bytes) -> list[tuple[int, bytes]]:
    """Two octets of type, one of length, the value; and so on."""
    found = []
    while len(octets) >= 3:
        number, length = int.from_bytes(octets[:2], "big"), octets[2]
        if number not in SEALS:
            found.append((number, octets[3 : 3 + length]))
        octets = octets[3 + length :]
    return found


def access_token(octets: bytes) -> None:
    """A token of a stranger's making, and whatever an authorization server may seal."""
    for token in (octets, seal_block(NORTH.key, octets)):
        with contextlib.suppress(Malformed):
            opened = decode_access_token_untrusted(token, NORTH, SERVER_NAME)
            assert len(octets) == 2 + len(opened.mac_key) + 12


def stun_answer(octets: bytes) -> None:
    """Whatever a STUN server says, an address of it is one that a host can have, or none."""
    ip = mapped_ip_untrusted(octets, octets[8:20].ljust(12, b"\0"))
    assert ip is None or (len(ip) in (4, 16) and any(ip))


def configuration(octets: bytes) -> None:
    FILE.write_bytes(octets)
    with contextlib.suppress(ConfigurationError):
        load(FILE, [], resolve=lambda _: ())


DECODERS: tuple[Callable[..., object], ...] = tuple(
    function
    for name, function in inspect.getmembers(values, inspect.isfunction)
    if name.endswith("_untrusted")
)

TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        message,
        attribute_values,
        channel_data,
        stream_frames,
        strangers_request,
        proved_request,
        access_token,
        stun_answer,
        configuration,
    )
}
