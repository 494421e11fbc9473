"""The numbers in `vectors/registry.json` are those of the registry, in both directions."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest

from ferryman.wire import registry
from ferryman.wire.address import Family

from .vectors import load


@pytest.fixture(scope="module")
def shared() -> Any:
    return load("registry")


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("classes", registry.MessageClass),
        ("methods", registry.Method),
        ("attributes", registry.Attribute),
        ("error_codes", registry.ErrorCode),
        ("families", Family),
        ("password_algorithms", registry.PasswordAlgorithm),
        ("security_features", registry.SecurityFeature),
    ],
)
def test_names_and_numbers_agree(shared: Any, name: str, numbers: type[IntEnum]) -> None:
    assert shared[name] == {member.name: int(member) for member in numbers}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("magic_cookie", registry.MAGIC_COOKIE),
        ("fingerprint_xor", registry.FINGERPRINT_XOR),
        ("header_length", registry.HEADER_LENGTH),
    ],
)
def test_constants_agree(shared: Any, name: str, number: int) -> None:
    assert shared[name] == number


def test_the_nonce_cookie_agrees(shared: Any) -> None:
    assert shared["nonce_cookie"].encode() == registry.NONCE_COOKIE


def test_limits_agree(shared: Any) -> None:
    assert shared["limits"] == {
        "max_request": registry.MAX_REQUEST,
        "max_username": registry.MAX_USERNAME,
        "max_realm": registry.MAX_REALM,
        "max_nonce": registry.MAX_NONCE,
        "max_reason": registry.MAX_REASON,
        "max_software": registry.MAX_SOFTWARE,
        "max_domain": registry.MAX_DOMAIN,
    }


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("channel_numbers", registry.CHANNEL_NUMBERS),
        ("channel_numbers_rfc5766", registry.CHANNEL_NUMBERS_RFC5766),
    ],
)
def test_channel_numbers_agree(shared: Any, name: str, numbers: range) -> None:
    assert shared[name] == {"first": numbers[0], "last": numbers[-1]}


def test_every_channel_number_begins_with_a_channel_byte(shared: Any) -> None:
    first_byte = shared["channel_first_byte"]
    for numbers in (registry.CHANNEL_NUMBERS, registry.CHANNEL_NUMBERS_RFC5766):
        assert first_byte["first"] <= numbers[0] >> 8
        assert numbers[-1] >> 8 <= first_byte["last"]


def test_understood_attributes_agree(shared: Any) -> None:
    assert shared["understood"] == {
        method.name: sorted(attribute.name for attribute in understood)
        for method, understood in registry.UNDERSTOOD.items()
    }


def test_only_comprehension_required_attributes_need_to_be_understood() -> None:
    for understood in registry.UNDERSTOOD.values():
        assert all(attribute < 0x8000 for attribute in understood)


@pytest.mark.parametrize(
    "attribute",
    [
        registry.Attribute.CHANGE_REQUEST,
        registry.Attribute.PADDING,
        registry.Attribute.RESPONSE_PORT,
    ],
)
def test_what_is_not_served_is_not_understood(attribute: registry.Attribute) -> None:
    # RFC 5780 §7 wants 420 from a server without these.
    assert not any(attribute in understood for understood in registry.UNDERSTOOD.values())
