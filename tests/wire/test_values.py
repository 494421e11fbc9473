"""Attribute values: round trips, refusals and the tolerance that the RFCs ask for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.wire import values
from ferryman.wire.address import Address
from ferryman.wire.errors import Malformed

from .packets import TRANSACTION_ID, addresses, transaction_ids

DECODERS: dict[str, Callable[[bytes], object]] = {
    "xor address": lambda value: values.decode_xor_address_untrusted(value, TRANSACTION_ID),
    "address": values.decode_address_untrusted,
    "error": values.decode_error_untrusted,
    "icmp": values.decode_icmp_untrusted,
    "address error": values.decode_address_error_untrusted,
    "uint32": values.decode_uint32_untrusted,
    "channel number": values.decode_channel_number_untrusted,
    "connection id": values.decode_connection_id_untrusted,
    "types": values.decode_types_untrusted,
    "password algorithms": values.decode_password_algorithms_untrusted,
    "requested transport": values.decode_requested_transport_untrusted,
    "family": values.decode_family_untrusted,
    "even port": values.decode_even_port_untrusted,
    "text": lambda value: values.decode_text_untrusted(value, 30),
}


@pytest.mark.parametrize("decode", DECODERS.values(), ids=list(DECODERS))
@given(value=st.binary(max_size=40))
def test_no_value_raises_anything_but_malformed(
    decode: Callable[[bytes], object], value: bytes
) -> None:
    try:
        decode(value)
    except Malformed:
        return


def test_every_decoder_is_tried_above() -> None:
    assert len(DECODERS) == len([name for name in dir(values) if name.endswith("_untrusted")])


# Addresses


@given(addresses, transaction_ids)
def test_xor_addresses_come_back(address: Address, transaction_id: bytes) -> None:
    value = values.encode_xor_address(address, transaction_id)
    assert values.decode_xor_address_untrusted(value, transaction_id) == address


@given(addresses)
def test_plain_addresses_come_back(address: Address) -> None:
    assert values.decode_address_untrusted(values.encode_address(address)) == address


@pytest.mark.parametrize(
    ("host", "port", "plain", "masked"),
    [
        ("192.0.2.1", 32853, "00018055c0000201", "0001a147e112a643"),
        ("0.0.0.0", 0, "0001000000000000", "000121122112a442"),
        ("255.255.255.255", 65535, "0001ffffffffffff", "0001deeddeed5bbd"),
        (
            "2001:db8::1",
            3478,
            "00020d9620010db8000000000000000000000001",
            "00022c840113a9fa101112131415161718191a1a",
        ),
    ],
)
def test_addresses_lie_as_the_rfc_draws_them(host: str, port: int, plain: str, masked: str) -> None:
    address = Address.of(host, port)
    assert values.encode_address(address).hex() == plain
    assert values.encode_xor_address(address, TRANSACTION_ID).hex() == masked


@pytest.mark.parametrize("decode", [DECODERS["address"], DECODERS["xor address"]])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        "000100",
        "0001",
        "00010050",
        "00010050c00002",
        "00010050c000020100",
        "00010050" + "00" * 16,
        "00020050" + "00" * 4,
        "00020050" + "00" * 15,
        "00020050" + "00" * 17,
        "00000050c0000201",
        "00030050c0000201",
        "00030050" + "00" * 16,
        "00ff0050c0000201",
    ],
)
def test_addresses_have_the_length_of_their_family(
    decode: Callable[[bytes], object], value: str
) -> None:
    with pytest.raises(Malformed, match="address"):
        decode(bytes.fromhex(value))


def test_the_reserved_byte_of_an_address_is_passed_over() -> None:
    # RFC 8489 §14.1: it MUST be ignored.
    value = bytes.fromhex("ff010050c0000201")
    assert values.decode_address_untrusted(value) == Address.of("192.0.2.1", 80)


# ERROR-CODE


@given(st.integers(300, 699), st.text(max_size=100))
def test_errors_come_back(code: int, reason: str) -> None:
    assert values.decode_error_untrusted(values.encode_error(code, reason)) == (code, reason)


def test_an_error_lies_as_the_rfc_draws_it() -> None:
    assert values.encode_error(438, "Stale Nonce") == b"\0\0\x04\x26Stale Nonce"
    assert values.encode_error(401) == b"\0\0\x04\x01"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0\0\4",
        b"\0\0\2\0",
        b"\0\0\7\0",
        b"\0\0\0\0",
        b"\0\0\4\x64",
        b"\0\0\4\xff",
        b"\0\0\4\1" + b"x" * 764,
    ],
)
def test_errors_outside_the_rfc_are_refused(value: bytes) -> None:
    with pytest.raises(Malformed, match=r"error code|ERROR-CODE"):
        values.decode_error_untrusted(value)


def test_reserved_bits_and_a_broken_reason_do_not_hide_the_code() -> None:
    assert values.decode_error_untrusted(b"\xff\xff\xfc\x01caf\xe9") == (
        401,
        "caf\N{REPLACEMENT CHARACTER}",
    )


@pytest.mark.parametrize(
    ("code", "reason"), [(299, ""), (700, ""), (0, ""), (-400, ""), (400, "é" * 382)]
)
def test_errors_outside_the_rfc_are_not_written(code: int, reason: str) -> None:
    with pytest.raises(ValueError, match="300 to 699"):
        values.encode_error(code, reason)


def test_the_longest_reason_is_written_and_read() -> None:
    reason = "x" * 763
    assert values.decode_error_untrusted(values.encode_error(500, reason)) == (500, reason)


def test_an_icmp_error_lies_as_the_rfc_draws_it() -> None:
    # Type in 7 bits, code in 9: port unreachable is 3, 3; "fragmentation needed" 3, 4 and an MTU.
    assert values.encode_icmp(3, 3) == b"\0\0\x06\x03\0\0\0\0"
    assert values.encode_icmp(3, 4, 1280) == b"\0\0\x06\x04\0\0\x05\0"
    assert values.decode_icmp_untrusted(b"\xff\xff\x17\0\0\0\0\1") == (11, 256, 1)


def test_an_address_error_lies_as_the_rfc_draws_it() -> None:
    value = values.encode_address_error(2, 440, "Address Family not Supported")
    assert value == b"\x02\0\x04\x28Address Family not Supported"
    assert values.decode_address_error_untrusted(value)[:2] == (2, 440)


@pytest.mark.parametrize("value", [b"", b"\2\0\4", b"\2\0\7\0"])
def test_bytes_that_are_no_address_error(value: bytes) -> None:
    with pytest.raises(Malformed):
        values.decode_address_error_untrusted(value)


# Numbers


@given(st.integers(0, 0xFFFFFFFF))
def test_32_bit_numbers_come_back(number: int) -> None:
    value = values.encode_uint32(number)
    assert value == number.to_bytes(4, "big")
    assert values.decode_uint32_untrusted(value) == number


@given(st.integers(0, 0xFFFF))
def test_channel_numbers_come_back(number: int) -> None:
    value = values.encode_channel_number(number)
    assert value == number.to_bytes(2, "big") + b"\0\0"
    assert values.decode_channel_number_untrusted(value) == number
    # RFC 8656 §18.1: the reserved half MUST be ignored.
    assert values.decode_channel_number_untrusted(value[:2] + b"\xff\xff") == number


@given(st.integers(0, 0xFF))
def test_transports_and_families_come_back_whichever_they_are(number: int) -> None:
    value = bytes((number, 0, 0, 0))
    assert values.encode_requested_transport(number) == value
    assert values.encode_family(number) == value
    for reserved in (b"\0\0\0", b"\xff\xff\xff"):
        assert values.decode_requested_transport_untrusted(value[:1] + reserved) == number
        assert values.decode_family_untrusted(value[:1] + reserved) == number


@pytest.mark.parametrize(
    ("octet", "reserve"), [(0x00, False), (0x7F, False), (0x80, True), (0xFF, True)]
)
def test_only_the_first_bit_of_even_port_speaks(octet: int, reserve: bool) -> None:
    assert values.decode_even_port_untrusted(bytes((octet,))) is reserve


@pytest.mark.parametrize("reserve", [False, True])
def test_even_port_comes_back(reserve: bool) -> None:
    assert values.decode_even_port_untrusted(values.encode_even_port(reserve)) is reserve


@pytest.mark.parametrize(
    "decode",
    [
        values.decode_uint32_untrusted,
        values.decode_channel_number_untrusted,
        values.decode_connection_id_untrusted,
        values.decode_requested_transport_untrusted,
        values.decode_family_untrusted,
    ],
)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8])
def test_numbers_are_exactly_4_bytes(decode: Callable[[bytes], object], size: int) -> None:
    with pytest.raises(Malformed, match="not 4 bytes"):
        decode(bytes(size))


@pytest.mark.parametrize("size", [0, 2, 4])
def test_even_port_is_exactly_one_byte(size: int) -> None:
    with pytest.raises(Malformed, match="not 1 bytes"):
        values.decode_even_port_untrusted(bytes(size))


# UNKNOWN-ATTRIBUTES


@given(st.lists(st.integers(0, 0xFFFF), max_size=40))
def test_lists_of_types_come_back(types: list[int]) -> None:
    value = values.encode_types(types)
    assert len(value) == 2 * len(types)
    assert values.decode_types_untrusted(value) == types


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_list_of_types_has_no_half_ones(size: int) -> None:
    with pytest.raises(Malformed, match="odd"):
        values.decode_types_untrusted(bytes(size))


# Text


@given(st.text(max_size=60))
def test_text_comes_back(text: str) -> None:
    value = text.encode()
    assert values.decode_text_untrusted(value, len(value)) == text


@given(st.text(min_size=1, max_size=60))
def test_text_is_measured_in_bytes(text: str) -> None:
    value = text.encode()
    with pytest.raises(Malformed, match="too long"):
        values.decode_text_untrusted(value, len(value) - 1)


@pytest.mark.parametrize(
    "value",
    [
        b"\xff",
        b"caf\xe9",
        b"\xc3",
        b"\xc0\x80",  # overlong NUL
        b"\xe0\x80\xaf",  # overlong slash
        b"\xed\xa0\x80",  # a lone surrogate
        b"\xf4\x90\x80\x80",  # above U+10FFFF
    ],
)
def test_what_is_not_utf8_is_refused(value: bytes) -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        values.decode_text_untrusted(value, 100)


@pytest.mark.parametrize("value", [b"a\0b", b"a\r\nb", b"%n%s", b"'; --", b"a:b/*"])
def test_text_is_only_text_here(value: bytes) -> None:
    assert values.decode_text_untrusted(value, 100).encode() == value


def test_a_refusal_does_not_repeat_what_it_refuses() -> None:
    with pytest.raises(Malformed) as refused:
        values.decode_text_untrusted(b"secret\xff", 100)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


# Password algorithms


def test_password_algorithms_come_back_in_order() -> None:
    value = values.encode_password_algorithms((2, 1))
    assert value == bytes.fromhex("0002000000010000")
    assert values.decode_password_algorithms_untrusted(value) == [(2, b""), (1, b"")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("00030003616263ff00010000", [(3, b"abc"), (1, b"")]),
        ("00030003616263", [(3, b"abc")]),
    ],
)
def test_parameters_are_read_and_their_padding_passed_over(
    value: str, expected: list[tuple[int, bytes]]
) -> None:
    assert values.decode_password_algorithms_untrusted(bytes.fromhex(value)) == expected


@pytest.mark.parametrize("value", ["00", "000200", "00020001", "0002000400", "0001000000020008"])
def test_a_list_that_is_cut_off_is_malformed(value: str) -> None:
    with pytest.raises(Malformed, match="cut off"):
        values.decode_password_algorithms_untrusted(bytes.fromhex(value))
