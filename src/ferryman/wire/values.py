"""Attribute values: addresses, numbers, errors and text (RFC 8489 §14, RFC 8656 §18).

Decoders raise Malformed for a value that has not the form of its attribute. Whether a well-formed
value is acceptable (which family, which lifetime) is the caller's to judge.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from ferryman.wire.address import Address, Family
from ferryman.wire.errors import Malformed
from ferryman.wire.registry import MAGIC_COOKIE, MAX_REASON

_ADDRESS: Final = Struct(">xBH")
_UINT32: Final = Struct(">I")
_ICMP: Final = Struct(">xxHI")
_CHANNEL: Final = Struct(">Hxx")
_ERROR: Final = Struct(">xxBB")
_ALGORITHM: Final = Struct(">HH")
_PORT_MASK: Final = MAGIC_COOKIE >> 16
_COOKIE: Final = MAGIC_COOKIE.to_bytes(4, "big")
_SIZES: Final = {int(Family.IPV4): 8, int(Family.IPV6): 20}


def encode_xor_address(address: Address, transaction_id: bytes) -> bytes:
    """The form of XOR-MAPPED-, XOR-PEER- and XOR-RELAYED-ADDRESS (RFC 8489 §14.2)."""
    port = address.port ^ _PORT_MASK
    return encode_address(Address(_mask(address.ip, transaction_id), port))


def decode_xor_address_untrusted(value: bytes, transaction_id: bytes) -> Address:
    """Raises Malformed unless it is an IPv4 or IPv6 address (RFC 8489 §14.2)."""
    masked = decode_address_untrusted(value)
    return Address(_mask(masked.ip, transaction_id), masked.port ^ _PORT_MASK)


def _mask(ip: bytes, transaction_id: bytes) -> bytes:
    size = len(ip)
    mask = (_COOKIE + transaction_id)[:size]
    return (int.from_bytes(ip, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def encode_address(address: Address) -> bytes:
    """The form of MAPPED-ADDRESS and ALTERNATE-SERVER (RFC 8489 §14.1)."""
    return _ADDRESS.pack(address.family, address.port) + address.ip


def decode_address_untrusted(value: bytes) -> Address:
    """Raises Malformed unless it is an IPv4 or IPv6 address (RFC 8489 §14.1)."""
    if len(value) < _ADDRESS.size:
        raise Malformed("address is too short")
    family, port = _ADDRESS.unpack_from(value)
    if len(value) != _SIZES.get(family):
        raise Malformed("address has not the length of its family")
    return Address(value[4:], port)


def encode_error(code: int, reason: str = "") -> bytes:
    """ERROR-CODE (RFC 8489 §14.8); ValueError outside 300..699 or for too long a reason."""
    phrase = reason.encode()
    if not 300 <= code <= 699 or len(phrase) > MAX_REASON:
        raise ValueError("error codes are 300 to 699, with a reason of at most 763 bytes")
    return _ERROR.pack(code // 100, code % 100) + phrase


def decode_error_untrusted(value: bytes) -> tuple[int, str]:
    """Code and reason (RFC 8489 §14.8). The reason is for people: bad UTF-8 in it is replaced."""
    if not _ERROR.size <= len(value) <= _ERROR.size + MAX_REASON:
        raise Malformed("ERROR-CODE is too short or too long")
    hundreds, rest = _ERROR.unpack_from(value)
    hundreds &= 0x07  # the bits above are reserved and say nothing
    if not 3 <= hundreds <= 6 or rest > 99:
        raise Malformed("no such error code")
    return hundreds * 100 + rest, value[_ERROR.size :].decode(errors="replace")


def encode_address_error(family: int, code: int, reason: str = "") -> bytes:
    """ADDRESS-ERROR-CODE (RFC 8656 §18.12): ERROR-CODE with the family in its first octet."""
    return bytes((family,)) + encode_error(code, reason)[1:]


def decode_address_error_untrusted(value: bytes) -> tuple[int, int, str]:
    """Family (whichever it is), code and reason (RFC 8656 §18.12)."""
    code, reason = decode_error_untrusted(value)
    return value[0], code, reason


def encode_icmp(kind: int, code: int, data: int = 0) -> bytes:
    """ICMP (RFC 8656 §18.13): a type of 7 bits, a code of 9, and 4 octets of error data."""
    return _ICMP.pack((kind << 9 | code) & 0xFFFF, data)


def decode_icmp_untrusted(value: bytes) -> tuple[int, int, int]:
    """Type, code and error data; the reserved half is passed over (RFC 8656 §18.13)."""
    both, data = _ICMP.unpack(_exactly(_ICMP.size, value))
    return both >> 9, both & 0x1FF, data


def encode_uint32(number: int) -> bytes:
    """A 32-bit number: LIFETIME in seconds (RFC 8656 §18.2), PRIORITY."""
    return _UINT32.pack(number)


def decode_uint32_untrusted(value: bytes) -> int:
    """Raises Malformed unless it is 4 bytes."""
    return int(_UINT32.unpack(_exactly(4, value))[0])


def encode_channel_number(number: int) -> bytes:
    """CHANNEL-NUMBER (RFC 8656 §18.1)."""
    return _CHANNEL.pack(number)


def decode_channel_number_untrusted(value: bytes) -> int:
    """Any 16-bit number; the reserved half is passed over (RFC 8656 §18.1)."""
    return int(_CHANNEL.unpack(_exactly(4, value))[0])


def decode_connection_id_untrusted(value: bytes) -> bytes:
    """CONNECTION-ID: 4 octets that mean nothing by themselves (RFC 6062 §6.2.1)."""
    return _exactly(4, value)


def encode_types(types: Iterable[int]) -> bytes:
    """UNKNOWN-ATTRIBUTES (RFC 8489 §14.13)."""
    return b"".join(number.to_bytes(2, "big") for number in types)


def decode_types_untrusted(value: bytes) -> list[int]:
    """Attribute types in order (RFC 8489 §14.13)."""
    if len(value) & 1:
        raise Malformed("a list of types has an odd length")
    return [int.from_bytes(value[at : at + 2], "big") for at in range(0, len(value), 2)]


def encode_password_algorithms(algorithms: Iterable[int]) -> bytes:
    """PASSWORD-ALGORITHMS in order of preference, without parameters; of one algorithm also
    PASSWORD-ALGORITHM (RFC 8489 §14.11, §14.12)."""
    return b"".join(_ALGORITHM.pack(number, 0) for number in algorithms)


def decode_password_algorithms_untrusted(value: bytes) -> list[tuple[int, bytes]]:
    """Numbers and parameters in order (RFC 8489 §14.11, §14.12)."""
    found, at = [], 0
    while at < len(value):
        start = at + _ALGORITHM.size
        if start > len(value):
            raise Malformed("a list of password algorithms is cut off")
        number, length = _ALGORITHM.unpack_from(value, at)
        if start + length > len(value):
            raise Malformed("a password algorithm's parameters are cut off")
        found.append((number, value[start : start + length]))
        at = (start + length + 3) & ~3
    return found


def encode_requested_transport(protocol: int) -> bytes:
    """REQUESTED-TRANSPORT, an IP protocol number (RFC 8656 §18.8)."""
    return bytes((protocol, 0, 0, 0))


def decode_requested_transport_untrusted(value: bytes) -> int:
    """The IP protocol number, whichever it is (RFC 8656 §18.8)."""
    return _exactly(4, value)[0]


def encode_family(family: int) -> bytes:
    """REQUESTED-ADDRESS-FAMILY, ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.6, §18.11)."""
    return bytes((family, 0, 0, 0))


def decode_family_untrusted(value: bytes) -> int:
    """The family's number, whichever it is (RFC 8656 §18.6)."""
    return _exactly(4, value)[0]


def encode_even_port(reserve: bool) -> bytes:
    """EVEN-PORT; `reserve` asks for the next port too (RFC 8656 §18.7)."""
    return b"\x80" if reserve else b"\x00"


def decode_even_port_untrusted(value: bytes) -> bool:
    """Whether the next port is asked for (RFC 8656 §18.7)."""
    return _exactly(1, value)[0] >= 0x80


def decode_text_untrusted(value: bytes, limit: int) -> str:
    """UTF-8 of at most `limit` bytes; every character that UTF-8 can hold is let through."""
    if len(value) > limit:
        raise Malformed("text is too long")
    text: str | None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = None
    if text is None:  # raised out here, so that no traceback goes on to the error with the text
        raise Malformed("text is not UTF-8")
    return text


def _exactly(size: int, value: bytes) -> bytes:
    if len(value) != size:
        raise Malformed(f"value is not {size} bytes")
    return value
