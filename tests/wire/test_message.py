"""STUN messages: what is read, what is refused, what is written (RFC 8489 §5, §6.3, §14)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.wire.errors import Malformed
from ferryman.wire.integrity import fingerprint_value, message_integrity
from ferryman.wire.message import Message, decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method

from . import packets
from .packets import TRANSACTION_ID, attribute, header, packet

KEY = b"a key"
SOFTWARE = attribute(Attribute.SOFTWARE, b"test")


def sealed(*before: bytes, after: bytes = b"", length: int = 20, key: bytes = KEY) -> bytes:
    """A Binding request with attributes before and after its MESSAGE-INTEGRITY."""
    covered = packet(*before)
    value = message_integrity(key, covered)
    value = (value + bytes(length))[:length]
    return packet(*before, attribute(Attribute.MESSAGE_INTEGRITY, value), after)


def marked(octets: bytes) -> bytes:
    """The message with a FINGERPRINT at its end."""
    longer = octets[:2] + (len(octets) - 20 + 8).to_bytes(2, "big") + octets[4:]
    value = fingerprint_value(longer).to_bytes(4, "big")
    return longer + attribute(Attribute.FINGERPRINT, value)


def types(message: Message) -> list[int]:
    return [number for number, _ in message.attributes]


# What is refused


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", "shorter than a STUN header"),
        (header(0)[:19], "shorter than a STUN header"),
        (b"\x40" + header(0)[1:], "first two bits"),
        (b"\x80" + header(0)[1:], "first two bits"),
        (header(0, cookie=0), "no magic cookie"),
        (header(0, cookie=0x2112A443), "no magic cookie"),
        (header(3) + b"abc", "multiple of 4"),
        (header(0xFFFF), "multiple of 4"),
        (header(4), "not that of the packet"),
        (header(0) + b"abcd", "not that of the packet"),
        (header(0xFFFC), "not that of the packet"),
        (packet(SOFTWARE) + bytes(4), "not that of the packet"),
        (packet(bytes.fromhex("80220005") + b"abcd"), "past the end"),
        (packet(bytes.fromhex("80220001")), "past the end"),
        (packet(bytes.fromhex("8022ffff")), "past the end"),
        (packet(SOFTWARE, bytes.fromhex("000600c8") + b"abcd"), "past the end"),
        (sealed(after=bytes.fromhex("80220005") + b"abcd"), "past the end"),
        (packet(attribute(Attribute.FINGERPRINT, b"")), "not 4 bytes"),
        (packet(attribute(Attribute.FINGERPRINT, bytes(3))), "not 4 bytes"),
        (packet(attribute(Attribute.FINGERPRINT, bytes(8))), "not 4 bytes"),
        (packet(attribute(Attribute.FINGERPRINT, bytes(4))), "FINGERPRINT is wrong"),
        (packet(attribute(Attribute.FINGERPRINT, bytes(4)), SOFTWARE), "not the last"),
        (sealed(after=attribute(Attribute.FINGERPRINT, bytes(4)) + SOFTWARE), "not the last"),
    ],
)
def test_lies_are_refused_by_name(octets: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=re.escape(complaint)):
        decode_untrusted(octets)


def test_two_fingerprints_are_refused_even_when_both_are_right() -> None:
    # The first is right as long as nothing follows it; then something does (RFC 8489 §14.7).
    once = marked(packet(SOFTWARE))
    decode_untrusted(once)
    with pytest.raises(Malformed, match="not the last"):
        decode_untrusted(marked(once))


@given(st.binary(max_size=120))
def test_no_bytes_raise_anything_but_malformed(octets: bytes) -> None:
    decode_or_refuse(octets)


@given(st.binary(max_size=60))
def test_no_bytes_after_a_good_header_raise_anything_but_malformed(body: bytes) -> None:
    decode_or_refuse(header(len(body)) + body)


@given(packets.damaged(packets.messages))
def test_no_damage_to_a_message_raises_anything_but_malformed(octets: bytes) -> None:
    decode_or_refuse(octets)


def decode_or_refuse(octets: bytes) -> None:
    try:
        message = decode_untrusted(octets)
    except Malformed:
        return
    # What was accepted can be asked everything without raising, too.
    message.verifies(KEY)
    message.unknown_required(())
    repr(message)


# What is read


@pytest.mark.parametrize(
    ("message_type", "message_class", "method"),
    [
        (0x0001, MessageClass.REQUEST, Method.BINDING),
        (0x0011, MessageClass.INDICATION, Method.BINDING),
        (0x0101, MessageClass.SUCCESS, Method.BINDING),
        (0x0111, MessageClass.ERROR, Method.BINDING),
        (0x0003, MessageClass.REQUEST, Method.ALLOCATE),
        (0x0113, MessageClass.ERROR, Method.ALLOCATE),
        (0x0016, MessageClass.INDICATION, Method.SEND),
        (0x0017, MessageClass.INDICATION, Method.DATA),
        (0x0109, MessageClass.SUCCESS, Method.CHANNEL_BIND),
        (0x3EEF, MessageClass.REQUEST, 0xFFF),
        (0x3FFF, MessageClass.ERROR, 0xFFF),
        (0x0020, MessageClass.REQUEST, 0x010),
        (0x0200, MessageClass.REQUEST, 0x080),
    ],
)
def test_class_and_method_share_the_message_type(
    message_type: int, message_class: MessageClass, method: int
) -> None:
    message = decode_untrusted(packet(message_type=message_type))
    assert message.message_class is message_class
    assert message.method == method
    assert message.transaction_id == TRANSACTION_ID
    assert encode(message_class, method, TRANSACTION_ID, []) == packet(message_type=message_type)


@pytest.mark.parametrize("padding", [b"\0", b" ", b"\xff"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 763])
def test_padding_may_be_anything_and_is_not_part_of_the_value(padding: bytes, size: int) -> None:
    value = b"v" * size
    octets = packet(attribute(Attribute.SOFTWARE, value, padding), SOFTWARE)
    message = decode_untrusted(octets)
    assert message.attributes == ((Attribute.SOFTWARE, value), (Attribute.SOFTWARE, b"test"))


def test_the_first_of_several_attributes_counts_and_all_are_kept() -> None:
    message = decode_untrusted(
        packet(
            attribute(Attribute.XOR_PEER_ADDRESS, b"one"),
            SOFTWARE,
            attribute(Attribute.XOR_PEER_ADDRESS, b"two"),
        )
    )
    assert message.first(Attribute.XOR_PEER_ADDRESS) == b"one"
    assert message.all(Attribute.XOR_PEER_ADDRESS) == [b"one", b"two"]
    assert message.first(Attribute.DATA) is None
    assert message.all(Attribute.DATA) == []


def test_an_empty_attribute_is_not_an_absent_one() -> None:
    assert decode_untrusted(packet(attribute(Attribute.DATA, b""))).first(Attribute.DATA) == b""


def test_unknown_required_attributes_come_in_order_and_once() -> None:
    octets = packet(
        attribute(0x7F02, b"x"),
        attribute(0xC001, b"optional"),
        attribute(Attribute.LIFETIME, bytes(4)),
        attribute(0x7F01, b""),
        attribute(0x7F02, b"y"),
        attribute(0x8000, b"optional"),
        attribute(0x7FFF, b""),
    )
    message = decode_untrusted(octets)
    assert message.unknown_required({Attribute.LIFETIME}) == [0x7F02, 0x7F01, 0x7FFF]
    assert message.unknown_required({Attribute.LIFETIME, 0x7F01, 0x7F02, 0x7FFF}) == []


def test_repr_shows_no_value() -> None:
    octets = packet(attribute(Attribute.USERNAME, b"alice"), attribute(0x8030, b"ticket"))
    shown = repr(decode_untrusted(octets))
    assert shown == ("<Message REQUEST 0x001 101112131415161718191a1b: 0x0006[5] 0x8030[6]>")


# MESSAGE-INTEGRITY


def test_message_integrity_verifies_with_its_key_only() -> None:
    message = decode_untrusted(sealed(SOFTWARE))
    assert message.verifies(KEY)
    assert not message.verifies(b"another key")


def test_a_message_without_integrity_never_verifies() -> None:
    assert not decode_untrusted(packet(SOFTWARE)).verifies(KEY)


@pytest.mark.parametrize("length", [0, 4, 16, 19, 21, 32])
def test_message_integrity_of_another_length_never_verifies(length: int) -> None:
    message = decode_untrusted(sealed(SOFTWARE, length=length))
    assert types(message) == [Attribute.SOFTWARE, Attribute.MESSAGE_INTEGRITY]
    assert not message.verifies(KEY)


def test_an_integrity_too_short_at_the_very_end_of_the_longest_message_never_verifies() -> None:
    # With its full 20 bytes the message would be longer than its length field can say.
    filling = attribute(Attribute.SOFTWARE, bytes(0xFFFC - 8))
    message = decode_untrusted(packet(filling, attribute(Attribute.MESSAGE_INTEGRITY, b"")))
    assert not message.verifies(KEY)


def test_a_message_made_by_hand_never_verifies() -> None:
    value = message_integrity(KEY, packet())
    attributes = ((int(Attribute.MESSAGE_INTEGRITY), value),)
    message = Message(MessageClass.REQUEST, Method.BINDING, TRANSACTION_ID, attributes)
    assert not message.verifies(KEY)


def test_integrity_still_verifies_when_fingerprint_follows() -> None:
    message = decode_untrusted(marked(sealed(SOFTWARE)))
    assert message.verifies(KEY)
    assert message.has_fingerprint


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        # RFC 8489 §14.5: after MESSAGE-INTEGRITY only these two count.
        (SOFTWARE, []),
        (attribute(Attribute.XOR_PEER_ADDRESS, bytes(8)), []),
        (attribute(0x7F01, b""), []),
        (attribute(Attribute.MESSAGE_INTEGRITY, bytes(20)), []),
        (
            attribute(Attribute.MESSAGE_INTEGRITY_SHA256, bytes(32)),
            [Attribute.MESSAGE_INTEGRITY_SHA256],
        ),
        # §14.6: after MESSAGE-INTEGRITY-SHA256 only FINGERPRINT does.
        (
            attribute(Attribute.MESSAGE_INTEGRITY_SHA256, bytes(32))
            + attribute(Attribute.MESSAGE_INTEGRITY_SHA256, bytes(16))
            + SOFTWARE,
            [Attribute.MESSAGE_INTEGRITY_SHA256],
        ),
    ],
)
def test_attributes_after_message_integrity_are_left_out(after: bytes, kept: list[int]) -> None:
    plain = decode_untrusted(sealed(SOFTWARE, after=after))
    expected = [Attribute.SOFTWARE, Attribute.MESSAGE_INTEGRITY, *kept]
    assert types(plain) == expected
    assert plain.verifies(KEY)
    fingerprinted = decode_untrusted(marked(sealed(SOFTWARE, after=after)))
    assert types(fingerprinted) == [*expected, Attribute.FINGERPRINT]


def test_integrity_after_sha256_is_left_out() -> None:
    sha256 = attribute(Attribute.MESSAGE_INTEGRITY_SHA256, bytes(32))
    message = decode_untrusted(sealed(SOFTWARE, sha256))
    assert types(message) == [Attribute.SOFTWARE, Attribute.MESSAGE_INTEGRITY_SHA256]
    assert not message.verifies(KEY)


@given(packets.plain_attributes, packets.plain_attributes, packets.keys)
def test_what_follows_integrity_changes_nothing(
    before: list[tuple[int, bytes]], after: list[tuple[int, bytes]], key: bytes
) -> None:
    inside = [attribute(number, value) for number, value in before]
    outside = b"".join(attribute(number, value) for number, value in after)
    alone = decode_untrusted(sealed(*inside, key=key))
    followed = decode_untrusted(sealed(*inside, after=outside, key=key))
    assert followed == alone
    assert followed.verifies(key)


# What is written


@given(
    packets.classes,
    packets.methods,
    packets.transaction_ids,
    packets.plain_attributes,
    st.none() | packets.keys,
    st.booleans(),
)
def test_what_is_written_is_read_back(
    message_class: MessageClass,
    method: int,
    transaction_id: bytes,
    attributes: list[tuple[int, bytes]],
    key: bytes | None,
    fingerprint: bool,
) -> None:
    octets = encode(
        message_class, method, transaction_id, attributes, key=key, fingerprint=fingerprint
    )
    message = decode_untrusted(octets)
    assert message.message_class is message_class
    assert message.method == method
    assert message.transaction_id == transaction_id
    added = [Attribute.MESSAGE_INTEGRITY] * (key is not None) + [
        Attribute.FINGERPRINT
    ] * fingerprint
    assert list(message.attributes[: len(attributes)]) == attributes
    assert types(message)[len(attributes) :] == added
    assert message.has_fingerprint is fingerprint
    assert message.verifies(key or b"") is (key is not None)


@given(packets.messages)
def test_what_is_read_and_written_again_is_read_the_same(octets: bytes) -> None:
    try:
        message = decode_untrusted(octets)
    except Malformed:
        return  # only a FINGERPRINT drawn by chance can be wrong in such a packet
    again = encode(
        message.message_class, message.method, message.transaction_id, message.attributes
    )
    assert decode_untrusted(again) == message


@pytest.mark.parametrize("size", range(9))
def test_padding_that_is_written_is_zero(size: int) -> None:
    # Forgotten padding is how other people's memory leaks out.
    octets = encode(
        MessageClass.SUCCESS, 1, TRANSACTION_ID, [(Attribute.DATA, b"\xff" * size)], key=KEY
    )
    padding = octets[24 + size : 24 + size + -size % 4]
    assert padding == bytes(-size % 4)
    assert len(octets) == 24 + size + len(padding) + 24


def test_integrity_comes_before_fingerprint_and_both_after_the_rest() -> None:
    octets = encode(
        MessageClass.SUCCESS, 1, TRANSACTION_ID, [(0x8022, b"x")], key=KEY, fingerprint=True
    )
    assert types(decode_untrusted(octets)) == [
        Attribute.SOFTWARE,
        Attribute.MESSAGE_INTEGRITY,
        Attribute.FINGERPRINT,
    ]


@pytest.mark.parametrize(
    ("method", "transaction_id", "attributes"),
    [
        (0x1000, TRANSACTION_ID, []),
        (-1, TRANSACTION_ID, []),
        (1, TRANSACTION_ID[:11], []),
        (1, TRANSACTION_ID + b"x", []),
        (1, TRANSACTION_ID, [(0x8022, bytes(0x10000))]),
        (1, TRANSACTION_ID, [(0x8022, bytes(0xFFFF))]),
        (1, TRANSACTION_ID, [(0x8022, bytes(0x7FFC)), (0x8022, bytes(0x7FFC))]),
    ],
)
def test_what_no_message_can_hold_is_not_written(
    method: int, transaction_id: bytes, attributes: list[tuple[int, bytes]]
) -> None:
    with pytest.raises(ValueError, match="bytes"):
        encode(MessageClass.REQUEST, method, transaction_id, attributes)


def test_integrity_and_fingerprint_have_to_fit_too() -> None:
    full = [(0x8022, bytes(0xFFFC - 4))]
    assert len(encode(MessageClass.REQUEST, 1, TRANSACTION_ID, full)) == 20 + 0xFFFC
    with pytest.raises(ValueError, match="65,535"):
        encode(MessageClass.REQUEST, 1, TRANSACTION_ID, full, key=KEY)
    with pytest.raises(ValueError, match="65,535"):
        encode(MessageClass.REQUEST, 1, TRANSACTION_ID, full, fingerprint=True)
