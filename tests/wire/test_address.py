"""Transport addresses as values."""

from __future__ import annotations

import pytest
from hypothesis import given

from ferryman.wire.address import Address, Family

from .packets import addresses


@pytest.mark.parametrize(
    ("host", "port", "family", "text"),
    [
        ("192.0.2.1", 3478, Family.IPV4, "192.0.2.1:3478"),
        ("2001:db8::1", 3478, Family.IPV6, "[2001:db8::1]:3478"),
        ("::", 0, Family.IPV6, "[::]:0"),
    ],
)
def test_literals_are_read_and_shown(host: str, port: int, family: Family, text: str) -> None:
    address = Address.of(host, port)
    assert address.family is family
    assert len(address.ip) == (4 if family is Family.IPV4 else 16)
    assert str(address) == text


@pytest.mark.parametrize("host", ["", "localhost", "192.0.2", "192.0.2.256", "2001:db8::g"])
def test_what_is_no_literal_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        Address.of(host, 1)


@given(addresses)
def test_an_address_is_its_text_read_back(address: Address) -> None:
    assert Address.of(address.host, address.port) == address
