"""Ciphers in OpenSSL's words (its manual page ciphers(1)) into the suites that are spoken here.

All of them encrypt with authentication (AEAD) under keys that are made for one connection (ECDHE).
Words for anything else are understood as far as they take away; where they ask for it, it is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite of TLS 1.2 or 1.3 by IANA's number; `words` are OpenSSL's for it."""

    number: int
    words: frozenset[str]


class Spoken(NamedTuple):
    """`unmet`: words that ask for ciphers which are not spoken here."""

    numbers: tuple[int, ...]
    unmet: tuple[str, ...]


def _suite(number: int, words: str) -> Suite:
    return Suite(number, frozenset(words.split()))


_EVERY = "ALL HIGH DEFAULT FIPS TLSv1.2 AEAD ECDHE EECDH kECDHE kEECDH"
_ECDSA = f"{_EVERY} ECDSA aECDSA"
_RSA = f"{_EVERY} aRSA"

TLS12 = (
    _suite(0xC02C, f"ECDHE-ECDSA-AES256-GCM-SHA384 {_ECDSA} AES AES256 AESGCM"),
    _suite(0xC030, f"ECDHE-RSA-AES256-GCM-SHA384 {_RSA} AES AES256 AESGCM"),
    _suite(0xC02B, f"ECDHE-ECDSA-AES128-GCM-SHA256 {_ECDSA} AES AES128 AESGCM"),
    _suite(0xC02F, f"ECDHE-RSA-AES128-GCM-SHA256 {_RSA} AES AES128 AESGCM"),
    _suite(0xCCA9, f"ECDHE-ECDSA-CHACHA20-POLY1305 {_ECDSA} CHACHA20"),
    _suite(0xCCA8, f"ECDHE-RSA-CHACHA20-POLY1305 {_RSA} CHACHA20"),
)
TLS13 = (
    _suite(0x1302, "TLS_AES_256_GCM_SHA384"),
    _suite(0x1301, "TLS_AES_128_GCM_SHA256"),
    _suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
)


def spoken(text: str) -> Spoken:
    """The suites that a cipher list leaves, those of TLS 1.3 first.

    As with OpenSSL, a list without names of TLS 1.3 leaves all of that version. One with such names
    alone leaves none of TLS 1.2.
    """
    words = [word for word in re.split(r"[:, ;]+", text) if word and not word.startswith("@")]
    newer = [word for word in words if word.lstrip("!-+").startswith("TLS_")]
    older = [word for word in words if word not in newer]
    asked_for = [word for word in words if not word.startswith(("!", "-", "+"))]
    unmet = [word for word in asked_for if not any(_matching(word, (*TLS13, *TLS12)))]
    numbers = (*_left(newer, TLS13, TLS13), *_left(older, TLS12, ()))
    return Spoken(tuple(suite.number for suite in numbers), tuple(dict.fromkeys(unmet)))


def _left(words: list[str], suites: tuple[Suite, ...], otherwise: Iterable[Suite]) -> list[Suite]:
    """What is left when each word has added its suites, or taken them away (`!`: for good)."""
    adds = any(not word.startswith(("!", "-", "+")) for word in words)
    left = [] if adds else list(otherwise)
    killed: set[Suite] = set()
    for word in words:
        matching = list(_matching(word.lstrip("!-+"), suites))
        if word.startswith(("!", "-")):
            left = [suite for suite in left if suite not in matching]
            killed.update(matching if word.startswith("!") else ())
        elif not word.startswith("+"):  # a plus only moves to the end, and clients choose here
            left += [suite for suite in matching if suite not in left and suite not in killed]
    return left


def _matching(word: str, suites: Iterable[Suite]) -> Iterator[Suite]:
    """The suites of a word, or of several joined by `+`, all of which have to hold."""
    parts = set(word.split("+"))
    return (suite for suite in suites if parts <= suite.words)
