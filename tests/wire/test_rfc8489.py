"""The test vector of RFC 8489 appendix B: read, verified and written again."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from ferryman.auth.long_term import hashed_name, long_term_key
from ferryman.wire.errors import Malformed
from ferryman.wire.integrity import SHA256_LENGTHS, message_integrity_sha256
from ferryman.wire.message import Message, decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method, PasswordAlgorithm

from .packets import attribute
from .vectors import name_of, rows

PRINTED, MENDED = rows("rfc8489")
every_vector = pytest.mark.parametrize("row", [PRINTED, MENDED], ids=name_of)


def packet_of(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["hex"])


def key_of(row: dict[str, Any]) -> bytes:
    return bytes.fromhex(row["key"])


def mended() -> Message:
    return decode_untrusted(packet_of(MENDED))


@every_vector
def test_key_and_userhash_are_made_of_the_prepared_credentials(row: dict[str, Any]) -> None:
    name, realm, password = row["username"], row["realm"], row["password"]
    assert long_term_key(name, realm, password, PasswordAlgorithm.SHA256) == key_of(row)
    assert hashed_name(name, realm).hex() == dict(row["attributes"])["USERHASH"]


def test_the_printed_integrity_was_made_over_the_length_that_is_wrong() -> None:
    packet = packet_of(PRINTED)
    claimed = dict(PRINTED["attributes"])["MESSAGE_INTEGRITY_SHA256"]
    assert hmac.digest(key_of(PRINTED), packet[:-36], "sha256").hex() == claimed
    assert message_integrity_sha256(key_of(PRINTED), packet[:-36]).hex() != claimed


def test_the_printed_message_is_malformed_by_its_length() -> None:
    with pytest.raises(Malformed, match=PRINTED["malformed"]):
        decode_untrusted(packet_of(PRINTED))


def test_header_and_attributes_are_read() -> None:
    message = mended()
    assert (message.message_class, message.method) == (MessageClass.REQUEST, Method.BINDING)
    assert message.transaction_id.hex() == MENDED["transaction_id"]
    assert [(Attribute(number).name, value.hex()) for number, value in message.attributes] == [
        tuple(pair) for pair in MENDED["attributes"]
    ]


def test_integrity_verifies_with_its_key_and_no_other() -> None:
    assert mended().verifies_sha256(key_of(MENDED))
    assert not mended().verifies_sha256(key_of(MENDED) + b"x")
    assert not mended().verifies_sha256(key_of(MENDED)[:16])
    assert not mended().verifies(key_of(MENDED))


def test_integrity_covers_every_byte_before_it() -> None:
    packet = packet_of(MENDED)
    for at in range(len(packet) - 36):
        forged = bytearray(packet)
        forged[at] ^= 1
        try:
            message = decode_untrusted(bytes(forged))
        except Malformed:
            continue
        assert not message.verifies_sha256(key_of(MENDED)), at


def test_written_again_it_is_the_same_to_the_byte() -> None:
    message = mended()
    written = encode(
        message.message_class,
        message.method,
        message.transaction_id,
        message.attributes[:-1],
        sha256_key=key_of(MENDED),
    )
    assert written == packet_of(MENDED)


# Truncation (RFC 8489 §14.6)


def shortened(length: int) -> Message:
    covered = packet_of(MENDED)[:-36]
    value = message_integrity_sha256(key_of(MENDED), covered, length)
    packet = covered + attribute(Attribute.MESSAGE_INTEGRITY_SHA256, value)
    return decode_untrusted(packet[:2] + (len(packet) - 20).to_bytes(2, "big") + packet[4:])


@pytest.mark.parametrize("length", range(33))
def test_sixteen_to_thirty_two_bytes_verify_where_the_usage_allows_it(length: int) -> None:
    assert shortened(length).verifies_sha256(key_of(MENDED), shortest=16) is (
        length in SHA256_LENGTHS
    )


@pytest.mark.parametrize("length", range(33))
def test_all_thirty_two_bytes_are_wanted_unless_the_usage_says_otherwise(length: int) -> None:
    assert shortened(length).verifies_sha256(key_of(MENDED)) is (length == 32)


def test_a_usage_may_want_more_than_sixteen_bytes() -> None:
    assert shortened(24).verifies_sha256(key_of(MENDED), shortest=24)
    assert not shortened(20).verifies_sha256(key_of(MENDED), shortest=24)
