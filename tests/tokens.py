"""An authorization server of the tests: seals access tokens (RFC 7635 §6.2)."""

from __future__ import annotations

import base64
import os
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ferryman.auth.access_token import Algorithm, TokenKey

SERVER_NAME: Final = "turn.ferry.example"
MAC_KEY: Final = bytes(range(1, 21))
NORTH: Final = TokenKey("north", Algorithm.A256GCM, bytes(range(32)), None)
UNION: Final = TokenKey("union", Algorithm.A128GCM, bytes(range(16)), None)


def seal_block(key: bytes, block: bytes, server_name: str = SERVER_NAME) -> bytes:
    """A token with whatever is inside."""
    nonce = os.urandom(12)
    return b"\x00\x0c" + nonce + AESGCM(key).encrypt(nonce, block, server_name.encode())


def block(mac_key: bytes, timestamp: float, lifetime: int) -> bytes:
    stamp = int(timestamp) << 16 | int(timestamp % 1 * 64_000)
    length = len(mac_key).to_bytes(2, "big")
    return length + mac_key + stamp.to_bytes(8, "big") + lifetime.to_bytes(4, "big")


def seal(
    key: TokenKey,
    timestamp: float,
    lifetime: int = 3600,
    *,
    mac_key: bytes = MAC_KEY,
    server_name: str = SERVER_NAME,
) -> bytes:
    """A token for a client of this server."""
    return seal_block(key.key, block(mac_key, timestamp, lifetime), server_name)


def oauth_key_line(key: TokenKey) -> str:
    """The configuration's line for a key."""
    return f"oauth-key={key.kid}:{base64.b64encode(key.key).decode()}:{key.algorithm.name}"
