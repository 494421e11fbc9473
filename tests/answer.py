"""What an answer says: for tests with and without sockets."""

from __future__ import annotations

from ferryman.wire.address import Address
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute
from ferryman.wire.values import (
    decode_error_untrusted,
    decode_uint32_untrusted,
    decode_xor_address_untrusted,
)


class Answer:
    """A response; `packet` is what `message` was decoded from."""

    def __init__(self, message: Message, packet: bytes) -> None:
        self.message = message
        self.packet = packet

    @property
    def code(self) -> int:
        """0 for success, else the error code."""
        value = self.message.first(Attribute.ERROR_CODE)
        return 0 if value is None else decode_error_untrusted(value)[0]

    @property
    def lifetime(self) -> int:
        value = self.message.first(Attribute.LIFETIME)
        assert value is not None
        return decode_uint32_untrusted(value)

    def addresses(self, attribute: int) -> list[Address]:
        """Every address of this kind, in order."""
        values, transaction_id = self.message.all(attribute), self.message.transaction_id
        return [decode_xor_address_untrusted(value, transaction_id) for value in values]

    def address(self, attribute: int) -> Address:
        value = self.message.first(attribute)
        assert value is not None, f"no attribute 0x{attribute:04X}"
        return decode_xor_address_untrusted(value, self.message.transaction_id)
