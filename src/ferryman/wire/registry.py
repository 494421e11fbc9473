"""Numbers of STUN and TURN as IANA assigned them (RFC 8489 §18, RFC 8656 §17, RFC 8445 §16).

Names and limits only; `vectors/registry.json` holds the same numbers for the native side. Does
not know what any of them makes a server do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

MAGIC_COOKIE: Final = 0x2112A442
"""RFC 8489 §5."""

FINGERPRINT_XOR: Final = 0x5354554E
"""RFC 8489 §14.7."""

HEADER_LENGTH: Final = 20
"""Bytes of the STUN header (RFC 8489 §5)."""

MAX_REQUEST: Final = 4096
"""A longer request is dropped; no honest one comes near it."""

CHANNEL_NUMBERS: Final = range(0x4000, 0x5000)
"""Numbers a client may bind (RFC 8656 §12)."""

CHANNEL_NUMBERS_RFC5766: Final = range(0x4000, 0x8000)
"""Numbers an older client may bind where the operator allows it (RFC 5766 §11)."""

MAX_USERNAME: Final = 508
"""Bytes of USERNAME: fewer than 509 (RFC 8489 §14.3)."""

MAX_REALM: Final = 763
"""Bytes of REALM (RFC 8489 §14.9)."""

MAX_NONCE: Final = 763
"""Bytes of NONCE (RFC 8489 §14.10)."""

MAX_REASON: Final = 763
"""Bytes of the reason phrase in ERROR-CODE (RFC 8489 §14.8)."""

MAX_SOFTWARE: Final = 763
"""Bytes of SOFTWARE (RFC 8489 §14.14)."""

MAX_DOMAIN: Final = 255
"""Bytes of ALTERNATE-DOMAIN (RFC 8489 §14.16)."""

USERHASH_LENGTH: Final = 32
"""Bytes of USERHASH (RFC 8489 §14.4)."""

NONCE_COOKIE: Final = b"obMatJos2"
"""What the nonce of a server that knows RFC 8489 begins with; 4 characters of base64 follow,
which are the 24 bits of `SecurityFeature` (RFC 8489 §9.2)."""


class MessageClass(IntEnum):
    """The two class bits of a message type (RFC 8489 §5)."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class Method(IntEnum):
    """RFC 8489 §18.2, RFC 8656 §17, RFC 6062 §6.1."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class Attribute(IntEnum):
    """Attribute types; below 0x8000 the reader must understand them (RFC 8489 §14)."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    ACCESS_TOKEN = 0x001B
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    CONNECTION_ID = 0x002A
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    ALTERNATE_DOMAIN = 0x8003
    ICMP = 0x8004
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    THIRD_PARTY_AUTHORIZATION = 0x802E
    ORIGIN = 0x802F
    MOBILITY_TICKET = 0x8030


class ErrorCode(IntEnum):
    """RFC 8489 §14.8, RFC 8656 §19, RFC 6062 §6.3."""

    TRY_ALTERNATE = 300
    BAD_REQUEST = 400
    UNAUTHENTICATED = 401
    FORBIDDEN = 403
    MOBILITY_FORBIDDEN = 405
    UNKNOWN_ATTRIBUTE = 420
    ALLOCATION_MISMATCH = 437
    STALE_NONCE = 438
    ADDRESS_FAMILY_NOT_SUPPORTED = 440
    WRONG_CREDENTIALS = 441
    UNSUPPORTED_TRANSPORT_PROTOCOL = 442
    PEER_ADDRESS_FAMILY_MISMATCH = 443
    CONNECTION_ALREADY_EXISTS = 446
    CONNECTION_TIMEOUT_OR_FAILURE = 447
    ALLOCATION_QUOTA_REACHED = 486
    ROLE_CONFLICT = 487
    SERVER_ERROR = 500
    INSUFFICIENT_CAPACITY = 508


class PasswordAlgorithm(IntEnum):
    """How a long-term key is made of a password (RFC 8489 §18.5)."""

    MD5 = 0x0001
    SHA256 = 0x0002


class SecurityFeature(IntEnum):
    """Bits of the nonce cookie, bit 0 the most significant of 24 (RFC 8489 §18.1)."""

    PASSWORD_ALGORITHMS = 0x800000
    USERNAME_ANONYMITY = 0x400000


_KNOWN: Final = frozenset(
    {
        Attribute.MAPPED_ADDRESS,
        Attribute.USERNAME,
        Attribute.MESSAGE_INTEGRITY,
        Attribute.ERROR_CODE,
        Attribute.UNKNOWN_ATTRIBUTES,
        Attribute.CHANNEL_NUMBER,
        Attribute.LIFETIME,
        Attribute.XOR_PEER_ADDRESS,
        Attribute.DATA,
        Attribute.REALM,
        Attribute.NONCE,
        Attribute.XOR_RELAYED_ADDRESS,
        Attribute.REQUESTED_ADDRESS_FAMILY,
        Attribute.EVEN_PORT,
        Attribute.REQUESTED_TRANSPORT,
        Attribute.DONT_FRAGMENT,
        Attribute.XOR_MAPPED_ADDRESS,
        Attribute.RESERVATION_TOKEN,
        Attribute.PRIORITY,
        Attribute.USE_CANDIDATE,
    }
)

_OF_CREDENTIALS: Final = frozenset(
    {
        Attribute.MESSAGE_INTEGRITY_SHA256,
        Attribute.PASSWORD_ALGORITHM,
        Attribute.USERHASH,
    }
)

_OF_REQUESTS: Final = _KNOWN | _OF_CREDENTIALS | {Attribute.ACCESS_TOKEN}

UNDERSTOOD: Final[dict[Method, frozenset[Attribute]]] = {
    # Binding is answered without credentials: whatever belongs to them is passed over.
    Method.BINDING: _KNOWN | _OF_CREDENTIALS,
    Method.ALLOCATE: _OF_REQUESTS,
    Method.REFRESH: _OF_REQUESTS,
    Method.SEND: _KNOWN,
    Method.CREATE_PERMISSION: _OF_REQUESTS,
    Method.CHANNEL_BIND: _OF_REQUESTS,
    Method.CONNECT: _OF_REQUESTS,
    Method.CONNECTION_BIND: _OF_REQUESTS | {Attribute.CONNECTION_ID},
}
"""Comprehension-required attributes that the server knows, for each method it serves.

One that is known and not expected is passed over, one that is missing here is answered with 420,
or its indication dropped (RFC 8489 §6.3.1, §6.3.2).
"""
