"""The test vectors of RFC 5769: read, verified and written again."""

from __future__ import annotations

from hashlib import md5
from typing import Any

import pytest

from ferryman.wire.address import Address
from ferryman.wire.errors import Malformed
from ferryman.wire.integrity import fingerprint_value, message_integrity
from ferryman.wire.message import Message, decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import (
    decode_text_untrusted,
    decode_xor_address_untrusted,
    encode_xor_address,
)

from .vectors import name_of, rows

ADDED_BY_ENCODE = (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)

every_vector = pytest.mark.parametrize("row", rows("rfc5769"), ids=name_of)


def packet_of(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"])


def key_of(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["key"])


def decoded(row: dict[str, Any]) -> Message:
    return decode_untrusted(packet_of(row))


@every_vector
def test_header_and_attributes_are_read(row: dict[str, Any]) -> None:
    message = decoded(row)
    assert message.message_class is MessageClass[row["class"]]
    assert message.method == Method[row["method"]]
    assert message.transaction_id.hex() == row["transaction_id"]
    assert [(Attribute(number).name, value.hex()) for number, value in message.attributes] == [
        tuple(pair) for pair in row["attributes"]
    ]


@every_vector
def test_message_integrity_verifies(row: dict[str, Any]) -> None:
    assert decoded(row).verifies(key_of(row))


@every_vector
def test_message_integrity_does_not_verify_with_another_key(row: dict[str, Any]) -> None:
    assert not decoded(row).verifies(key_of(row) + b"x")
    assert not decoded(row).verifies(key_of(row)[:-1])


@every_vector
def test_message_integrity_covers_every_byte_before_it(row: dict[str, Any]) -> None:
    packet = packet_of(row)
    before = packet.index(bytes.fromhex("00080014"))
    for at in (0, 1, *range(4, before)):
        if not decodes_with_bit_flipped(packet[: before + 24], at, key_of(row)):
            continue
        pytest.fail(f"byte {at} may be changed")


def decodes_with_bit_flipped(packet: bytes, at: int, key: bytes) -> bool:
    """Whether a message without its FINGERPRINT still verifies after one bit of it is flipped."""
    forged = bytearray(packet)
    forged[at] ^= 1
    forged[2:4] = (len(packet) - 20).to_bytes(2, "big")
    try:
        return decode_untrusted(bytes(forged)).verifies(key)
    except Malformed:
        return False


@every_vector
def test_fingerprint_is_present_where_the_rfc_has_one(row: dict[str, Any]) -> None:
    assert decoded(row).has_fingerprint == (row["section"] != "2.4")


@pytest.mark.parametrize(
    "row", [row for row in rows("rfc5769") if row["section"] != "2.4"], ids=name_of
)
def test_one_flipped_bit_anywhere_breaks_the_fingerprint(row: dict[str, Any]) -> None:
    packet = packet_of(row)
    for bit in range(len(packet) * 8):
        forged = bytearray(packet)
        forged[bit // 8] ^= 0x80 >> bit % 8
        try:
            message = decode_untrusted(bytes(forged))
        except Malformed:
            continue
        # What is left is a FINGERPRINT that is no FINGERPRINT any more, by its type.
        assert not message.has_fingerprint


@every_vector
def test_written_again_it_differs_in_padding_only(row: dict[str, Any]) -> None:
    original = decoded(row)
    written = encode(
        original.message_class,
        original.method,
        original.transaction_id,
        [pair for pair in original.attributes if pair[0] not in ADDED_BY_ENCODE],
        key=key_of(row),
        fingerprint=original.has_fingerprint,
    )
    again = decode_untrusted(written)
    assert len(written) == len(packet_of(row))
    assert again.verifies(key_of(row))
    if row["padding"] == "00":
        assert written == packet_of(row)
    else:
        assert [pair for pair in again.attributes if pair[0] not in ADDED_BY_ENCODE] == [
            pair for pair in original.attributes if pair[0] not in ADDED_BY_ENCODE
        ]


@every_vector
def test_integrity_and_fingerprint_are_computed_to_the_byte(row: dict[str, Any]) -> None:
    # Here the RFC's own padding is covered, so this is exact for all four.
    packet, attributes = packet_of(row), dict(row["attributes"])
    before = packet.index(bytes.fromhex("00080014"))
    assert message_integrity(key_of(row), packet[:before]).hex() == attributes["MESSAGE_INTEGRITY"]
    if "FINGERPRINT" in attributes:
        assert fingerprint_value(packet[:-8]) == int(attributes["FINGERPRINT"], 16)


@pytest.mark.parametrize("row", [row for row in rows("rfc5769") if "mapped" in row], ids=name_of)
def test_xor_mapped_address_is_read_and_written(row: dict[str, Any]) -> None:
    message = decoded(row)
    value = message.first(Attribute.XOR_MAPPED_ADDRESS)
    assert value is not None
    address = Address.of(row["mapped"]["ip"], row["mapped"]["port"])
    assert decode_xor_address_untrusted(value, message.transaction_id) == address
    assert encode_xor_address(address, message.transaction_id) == value


def test_long_term_key_is_md5_of_the_prepared_credentials() -> None:
    (row,) = (row for row in rows("rfc5769") if row["section"] == "2.4")
    message = decoded(row)
    name, realm = message.first(Attribute.USERNAME), message.first(Attribute.REALM)
    assert name is not None
    assert realm is not None
    assert decode_text_untrusted(name, 508) == row["username"]
    assert decode_text_untrusted(realm, 763) == row["realm"]
    key = md5(b":".join((name, realm, row["password"].encode())), usedforsecurity=False).digest()
    assert key == key_of(row)
