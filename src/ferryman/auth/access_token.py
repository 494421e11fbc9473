"""ACCESS-TOKEN (RFC 7635 §6.2): what an authorization server grants a client, sealed for this
server.

    nonce_length | nonce | AEAD( key_length | mac_key | timestamp | lifetime )

The name of the server is the additional data, so that a token serves nobody else who has the key.
Knows neither where long-term keys come from nor what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ferryman.wire.errors import Malformed

MAX_TOKEN: Final = 512
"""Bytes of a token; one with the longest key takes 106."""

_NONCE_LENGTH: Final = 12
"""The only one that AEAD_AES_128_GCM and AEAD_AES_256_GCM have (RFC 5116 §5.1, §5.2)."""

_MAC_KEYS: Final = range(20, 65)
"""Bytes of a session key: 20 for HMAC-SHA1, 32 for HMAC-SHA256, up to 64 for hashes to come."""

_LENGTH: Final = Struct(">H")
_TIMES: Final = Struct(">QI")
_FRACTIONS: Final = 64_000


class Algorithm(Enum):
    """How a token is sealed (RFC 7635 §4.1.1, §6.2); the value is the length of the key."""

    A128GCM = 16
    A256GCM = 32


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A long-term key that an authorization server shares with this server.

    `expires`: UNIX seconds from which its tokens are not taken; None for never.
    """

    kid: str
    algorithm: Algorithm
    key: bytes = field(repr=False)
    expires: int | None

    @classmethod
    def of(
        cls, kid: str, material: bytes, algorithm: Algorithm, timestamp: int, lifetime: int
    ) -> TokenKey:
        """From key material at least as long as the key, of which the first bytes count;
        ValueError for less. `lifetime` 0: for ever, as in coturn's databases."""
        if len(material) < algorithm.value:
            raise ValueError(f"{algorithm.name} takes a key of {algorithm.value} bytes")
        key = material[: algorithm.value]
        return cls(kid, algorithm, key, timestamp + lifetime if lifetime else None)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A session key of 20 to 64 bytes, and when it was granted: UNIX seconds, for `lifetime` s."""

    mac_key: bytes = field(repr=False)
    timestamp: float
    lifetime: int


def decode_access_token_untrusted(token: bytes, key: TokenKey, server_name: str) -> AccessToken:
    """Raises Malformed unless this key has sealed it for this server, and all is well inside."""
    if len(token) > MAX_TOKEN:
        raise Malformed("the access token is too long")
    if len(token) < _LENGTH.size + _NONCE_LENGTH:
        raise Malformed("the access token is too short")
    if _LENGTH.unpack_from(token)[0] != _NONCE_LENGTH:
        raise Malformed("the access token's nonce has not 12 bytes")
    sealed = _LENGTH.size + _NONCE_LENGTH
    nonce, block = token[_LENGTH.size : sealed], token[sealed:]
    try:
        plain = AESGCM(key.key).decrypt(nonce, block, server_name.encode())
    except InvalidTag:
        raise Malformed("the access token was not sealed with this key for this server") from None
    return _opened_untrusted(plain)


def _opened_untrusted(plain: bytes) -> AccessToken:
    if len(plain) < _LENGTH.size:
        raise Malformed("the access token is empty")
    end = _LENGTH.size + _LENGTH.unpack_from(plain)[0]
    mac_key = plain[_LENGTH.size : end]
    if len(plain) != end + _TIMES.size:
        raise Malformed("the access token's lengths are wrong")
    if len(mac_key) not in _MAC_KEYS:
        raise Malformed("the access token's session key is too short or too long")
    timestamp, lifetime = _TIMES.unpack_from(plain, end)
    seconds = (timestamp >> 16) + (timestamp & 0xFFFF) / _FRACTIONS
    return AccessToken(mac_key, seconds, lifetime)
