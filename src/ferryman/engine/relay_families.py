"""Which address families an Allocate asks for (RFC 8656 §7.2, checks 5 to 9).

Knows nothing of what can be had of them.
"""

from __future__ import annotations

from ferryman.engine.refusals import Refusal, Refused
from ferryman.engine.settings import DefaultFamily, Settings
from ferryman.wire.address import Family
from ferryman.wire.message import Message
from ferryman.wire.registry import Attribute
from ferryman.wire.values import decode_even_port_untrusted, decode_family_untrusted

DUAL = (Family.IPV4, Family.IPV6)
"""What ADDITIONAL-ADDRESS-FAMILY asks for, in the order in which the answer names them."""
_BY_DEFAULT = {DefaultFamily.IPV4: Family.IPV4, DefaultFamily.IPV6: Family.IPV6}
"""Otherwise the client's own."""


def wanted_families(message: Message, client: Family, settings: Settings) -> tuple[Family, ...]:
    """One family, or both; raises Refused (400 or 440) or Malformed."""
    requested = message.first(Attribute.REQUESTED_ADDRESS_FAMILY)
    additional = message.first(Attribute.ADDITIONAL_ADDRESS_FAMILY)
    if additional is not None:
        _check_additional(message, additional)
        return DUAL
    if requested is not None:
        return (_family(requested),)
    return (_BY_DEFAULT.get(settings.default_family, client),)


def wants_pair(message: Message) -> bool:
    """Whether EVEN-PORT has the R bit (RFC 8656 §18.7)."""
    value = message.first(Attribute.EVEN_PORT)
    return value is not None and decode_even_port_untrusted(value)


def _check_additional(message: Message, value: bytes) -> None:
    if message.first(Attribute.REQUESTED_ADDRESS_FAMILY) is not None:
        raise Refused(Refusal.FAMILY_AND_ADDITIONAL)
    if wants_pair(message):
        raise Refused(Refusal.PAIR_AND_ADDITIONAL)
    number = decode_family_untrusted(value)
    if number != Family.IPV6:
        raise Refused(Refusal.ADDITIONAL_FAMILY, f"family 0x{number:02X}")


def _family(value: bytes) -> Family:
    number = decode_family_untrusted(value)
    try:
        return Family(number)
    except ValueError:
        raise Refused(Refusal.UNSUPPORTED_FAMILY, f"family 0x{number:02X}") from None
