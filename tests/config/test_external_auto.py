"""external-ip=auto and external-ip-stun: what they stand for, and what they go with."""

from __future__ import annotations

import pytest

from tests.config.reading import Reading


def test_auto_is_no_address_yet(reading: Reading) -> None:
    found = reading.lines("external-ip=auto")
    assert (found.external_ips, found.external_auto, found.external_stun) == ((), True, None)
    assert reading.lines("external-ip=192.0.2.1").external_auto is False


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("stun.example.com", ("stun.example.com", 3478)),
        ("stun.example.com:19302", ("stun.example.com", 19302)),
        ("192.0.2.1:1", ("192.0.2.1", 1)),
        ("[2001:db8::1]", ("2001:db8::1", 3478)),
        ("[2001:db8::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_a_stun_server_is_a_host_and_a_port(
    reading: Reading, text: str, server: tuple[str, int]
) -> None:
    found = reading.lines("external-ip=auto", f"external-ip-stun={text}")
    assert found.external_stun == server
    assert reading.notices(found) == reading.notices(reading.lines("external-ip=auto"))


def test_auto_goes_with_pairs_and_with_no_other_bare_address(reading: Reading) -> None:
    text = "user=a:b\nexternal-ip=auto\nexternal-ip=192.0.2.1/10.0.0.5\n"
    assert reading.problems(text) == []
    assert reading.problems("user=a:b\nexternal-ip=auto\nexternal-ip=192.0.2.1\n") == [
        "turnserver.conf:3: external-ip: expected either auto or an address without /PRIVATE"
    ]


def test_a_stun_server_that_nobody_asks_is_one_warning(reading: Reading) -> None:
    notices = reading.notices(reading.lines("external-ip-stun=stun.example.com"))
    assert (
        "warning: turnserver.conf:2: external-ip-stun: without external-ip=auto it has no effect"
        in notices
    )
