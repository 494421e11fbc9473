"""Opening access tokens (RFC 7635 §6.2, appendix A): one row for each way in which one can lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.auth.access_token import (
    MAX_TOKEN,
    AccessToken,
    Algorithm,
    TokenKey,
    decode_access_token_untrusted,
)
from ferryman.wire.errors import Malformed
from tests.tokens import MAC_KEY, NORTH, SERVER_NAME, UNION, block, seal, seal_block

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "rfc7635.json").read_text()
)


@pytest.mark.parametrize("name", list(VECTORS["tokens"]))
def test_the_tokens_of_the_rfc_open(name: str) -> None:
    material = bytes.fromhex(VECTORS["long_term_key"])
    key = TokenKey.of("2783466234", material, Algorithm[name], 0, 0)
    token = decode_access_token_untrusted(
        bytes.fromhex(VECTORS["tokens"][name]), key, VECTORS["server_name"]
    )
    assert token.mac_key == bytes.fromhex(VECTORS["mac_key"])
    # 48 bits of seconds, then 1/64000ths (RFC 7635 §6.2).
    assert token.timestamp == VECTORS["timestamp"] >> 16
    assert token.lifetime == VECTORS["lifetime"]


@pytest.mark.parametrize("key", [NORTH, UNION])
@pytest.mark.parametrize("length", [20, 32, 64])
def test_what_was_sealed_is_what_is_opened(key: TokenKey, length: int) -> None:
    mac_key = bytes(range(length))
    token = seal(key, 1_700_000_000.25, 600, mac_key=mac_key)
    opened = decode_access_token_untrusted(token, key, SERVER_NAME)
    assert opened == AccessToken(mac_key, 1_700_000_000.25, 600)


def test_a_token_for_another_server_does_not_open() -> None:
    token = seal(NORTH, 0, server_name="turn.elsewhere.example")
    with pytest.raises(Malformed, match="not sealed with this key for this server"):
        decode_access_token_untrusted(token, NORTH, SERVER_NAME)


def test_a_token_under_another_key_does_not_open() -> None:
    other = TokenKey("north", Algorithm.A256GCM, bytes(32), None)
    with pytest.raises(Malformed, match="not sealed"):
        decode_access_token_untrusted(seal(other, 0), NORTH, SERVER_NAME)


def test_no_bit_of_a_token_may_change() -> None:
    token = bytearray(seal(NORTH, 0))
    for at in range(len(token)):
        token[at] ^= 1
        with pytest.raises(Malformed):
            decode_access_token_untrusted(bytes(token), NORTH, SERVER_NAME)
        token[at] ^= 1


def test_no_beginning_of_a_token_opens() -> None:
    token = seal(NORTH, 0)
    for end in range(len(token)):
        with pytest.raises(Malformed):
            decode_access_token_untrusted(token[:end], NORTH, SERVER_NAME)


@pytest.mark.parametrize(
    ("inside", "complaint"),
    [
        (b"", "empty"),
        (b"\x00", "empty"),
        (b"\x00\x14", "lengths are wrong"),
        (b"\xff\xff" + bytes(40), "lengths are wrong"),
        (block(MAC_KEY, 0, 1)[:-1], "lengths are wrong"),
        (block(MAC_KEY, 0, 1) + b"\x00", "lengths are wrong"),
        (block(b"", 0, 1), "too short or too long"),
        (block(bytes(19), 0, 1), "too short or too long"),
        (block(bytes(65), 0, 1), "too short or too long"),
    ],
)
def test_a_rightly_sealed_lie_is_malformed(inside: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint):
        decode_access_token_untrusted(seal_block(NORTH.key, inside), NORTH, SERVER_NAME)


@pytest.mark.parametrize("nonce_length", [0, 1, 11, 13, 255, 65_535])
def test_a_nonce_has_12_bytes(nonce_length: int) -> None:
    token = nonce_length.to_bytes(2, "big") + seal(NORTH, 0)[2:]
    with pytest.raises(Malformed, match="nonce"):
        decode_access_token_untrusted(token, NORTH, SERVER_NAME)


def test_a_long_token_is_not_even_tried() -> None:
    token = seal_block(NORTH.key, bytes(MAX_TOKEN))
    with pytest.raises(Malformed, match="too long"):
        decode_access_token_untrusted(token, NORTH, SERVER_NAME)


@given(st.binary(max_size=600))
def test_no_bytes_raise_anything_else(token: bytes) -> None:
    with pytest.raises(Malformed):
        decode_access_token_untrusted(token, NORTH, SERVER_NAME)


@given(st.binary(max_size=120))
def test_no_sealed_bytes_raise_anything_else(inside: bytes) -> None:
    try:
        opened = decode_access_token_untrusted(seal_block(NORTH.key, inside), NORTH, SERVER_NAME)
    except Malformed:
        return
    assert len(inside) == 2 + len(opened.mac_key) + 12


def test_of_longer_key_material_the_first_bytes_count() -> None:
    key = TokenKey.of("k", bytes(range(33)), Algorithm.A256GCM, 100, 50)
    assert (key.key, key.expires) == (bytes(range(32)), 150)
    assert TokenKey.of("k", bytes(17), Algorithm.A128GCM, 100, 0).expires is None
    with pytest.raises(ValueError, match="A256GCM takes a key of 32 bytes"):
        TokenKey.of("k", bytes(31), Algorithm.A256GCM, 0, 0)


def test_keys_do_not_show_themselves() -> None:
    token = decode_access_token_untrusted(seal(NORTH, 0), NORTH, SERVER_NAME)
    assert repr(NORTH.key) not in repr(NORTH)
    assert repr(MAC_KEY) not in repr(token)
