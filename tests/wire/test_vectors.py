"""`vectors/messages.json` as the Python codec reads it; the native reader has the same table."""

from __future__ import annotations

from typing import Any

import pytest

from ferryman.wire.address import Address
from ferryman.wire.channel_data import decode_channel_data_untrusted
from ferryman.wire.errors import Malformed
from ferryman.wire.framing import StreamFrames
from ferryman.wire.message import Message, decode_untrusted
from ferryman.wire.registry import MAX_REQUEST, UNDERSTOOD, Attribute, MessageClass, Method
from ferryman.wire.values import decode_xor_address_untrusted

from .vectors import name_of, rows

COMPLAINTS = {
    "short": "shorter than",
    "first_bits": "first two bits",
    "cookie": "cookie",
    "length": "length",
    "attribute": "attribute reaches",
    "fingerprint": "FINGERPRINT",
}


def packet_of(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"])


def sends(message: Message) -> tuple[Address, bytes] | None:
    """Peer and payload of a Send indication that RFC 8656 §11.2 lets through."""
    peer = message.first(Attribute.XOR_PEER_ADDRESS)
    payload = message.first(Attribute.DATA)
    if peer is None or payload is None or message.unknown_required(UNDERSTOOD[Method.SEND]):
        return None
    address = decode_xor_address_untrusted(peer, message.transaction_id)
    return (address, payload) if address.port else None


@pytest.mark.parametrize("name", ["messages", "streams", "rfc5769"])
def test_no_two_vectors_have_one_name(name: str) -> None:
    names = [name_of(row) for row in rows(name)]
    assert len(names) == len(set(names))


def test_every_verdict_is_one_that_the_tests_below_look_for() -> None:
    verdicts = {row["verdict"] for row in rows("messages")}
    assert verdicts == {"binding", "request", "send", "channel_data", "malformed", "ignored"}


@pytest.mark.parametrize("row", rows("messages", "binding"), ids=name_of)
def test_binding_requests_are_read(row: dict[str, Any]) -> None:
    message = decode_untrusted(packet_of(row))
    assert (message.message_class, message.method) == (MessageClass.REQUEST, Method.BINDING)
    assert message.has_fingerprint == row["fingerprint"]
    unknown = message.unknown_required(UNDERSTOOD[Method.BINDING])
    assert unknown == row.get("unknown", [])
    assert row["answer"] == ("unknown_attributes" if unknown else "success")


@pytest.mark.parametrize("row", rows("messages", "request"), ids=name_of)
def test_requests_are_read(row: dict[str, Any]) -> None:
    message = decode_untrusted(packet_of(row))
    assert (message.message_class, message.method) == (MessageClass.REQUEST, row["method"])
    assert len(packet_of(row)) <= MAX_REQUEST


@pytest.mark.parametrize("row", rows("messages", "send"), ids=name_of)
def test_send_indications_are_read(row: dict[str, Any]) -> None:
    message = decode_untrusted(packet_of(row))
    assert (message.message_class, message.method) == (MessageClass.INDICATION, Method.SEND)
    peer = Address.of(row["peer"]["ip"], row["peer"]["port"])
    assert sends(message) == (peer, bytes.fromhex(row["payload"]))


@pytest.mark.parametrize("row", rows("messages", "channel_data"), ids=name_of)
def test_channel_data_is_read(row: dict[str, Any]) -> None:
    read = decode_channel_data_untrusted(packet_of(row))
    assert read == (row["number"], bytes.fromhex(row["payload"]))


@pytest.mark.parametrize("row", rows("messages", "malformed"), ids=name_of)
def test_lies_are_told_from_truth(row: dict[str, Any]) -> None:
    packet = packet_of(row)
    channel = packet[:1] and 0x40 <= packet[0] < 0x80
    decode = decode_channel_data_untrusted if channel else decode_untrusted
    with pytest.raises(Malformed, match=COMPLAINTS[row["reason"]]):
        decode(packet)


@pytest.mark.parametrize("row", rows("messages", "ignored"), ids=name_of)
def test_what_nobody_answers_is_well_formed(row: dict[str, Any]) -> None:
    packet = packet_of(row)
    message = decode_untrusted(packet)
    asked = message.message_class is MessageClass.REQUEST
    send = (message.message_class, message.method) == (MessageClass.INDICATION, Method.SEND)
    match row["reason"]:
        case "class":
            assert not asked
            assert not send
        case "size":
            assert asked
            assert len(packet) > MAX_REQUEST
        case "attribute":
            assert send
            assert sends(message) is None
        case "peer":
            assert send
            assert _peer_is_refused(message)
        case reason:
            pytest.fail(f"no such reason: {reason}")


def _peer_is_refused(message: Message) -> bool:
    try:
        return sends(message) is None
    except Malformed:
        return True


@pytest.mark.parametrize("row", rows("streams"), ids=name_of)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_streams_are_cut_into_messages(row: dict[str, Any], step: int) -> None:
    octets, stream, frames = packet_of(row), StreamFrames(), []
    malformed = False
    for at in range(0, len(octets), step):
        try:
            frames += stream.feed_untrusted(octets[at : at + step])
        except Malformed:
            malformed = True
            break
    assert malformed == row["malformed"]
    if not malformed:
        assert stream.pending == row["pending"]
    if step == 1 or not malformed:
        assert [frame.hex() for frame in frames] == row["frames"]
