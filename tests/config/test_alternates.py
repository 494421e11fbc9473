"""alternate-server and its three sisters: how they are written, and who is sent where."""

from __future__ import annotations

import pytest

from ferryman.engine.alternate import Alternate
from ferryman.engine.five_tuple import Transport
from ferryman.wire.address import Address
from tests.config.reading import Reading


def alternates(reading: Reading, *lines: str) -> dict[str, list[str]]:
    found = reading.file("\n".join(["user=a:b", *lines, ""])).alternates
    return {
        transport.name: [str(one.address) for one in listed]
        for transport, listed in found.items()
        if listed
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1:3478"),
        ("192.0.2.1:443", "192.0.2.1:443"),
        ("[2001:db8::1]", "[2001:db8::1]:3478"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
    ],
)
def test_an_address_may_have_a_port(reading: Reading, text: str, expected: str) -> None:
    assert alternates(reading, f"alternate-server={text}")["UDP"] == [expected]


def test_the_usual_port_of_an_encrypted_server_is_another(reading: Reading) -> None:
    assert alternates(reading, "tls-alternate-server=192.0.2.1")["TLS"] == ["192.0.2.1:5349"]


def test_of_a_name_every_address_counts_and_the_name_is_kept(reading: Reading) -> None:
    found = reading.file("user=a:b\ntls-alternate-server=turn.example.com:443\n").alternates
    assert [one.domain for one in found[Transport.TLS]] == ["turn.example.com"] * 3
    assert {one.address.family.name for one in found[Transport.TLS]} == {"IPV4", "IPV6"}


def test_an_address_is_no_name(reading: Reading) -> None:
    found = reading.file("user=a:b\nalternate-server=192.0.2.1\n").alternates
    assert found[Transport.UDP] == (Alternate(Address.of("192.0.2.1", 3478), ""),)


ONE, TWO, THREE, FOUR = (f"192.0.2.{number}:3478" for number in range(1, 5))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], {}),
        ([f"alternate-server={ONE}"], {"UDP": [ONE], "TCP": [ONE]}),
        (
            [f"alternate-server={ONE}", f"alternate-server={TWO}"],
            {"UDP": [ONE, TWO], "TCP": [ONE, TWO]},
        ),
        (
            [f"alternate-server={ONE}", f"udp-alternate-server={TWO}"],
            {"UDP": [TWO], "TCP": [ONE]},
        ),
        (
            [f"alternate-server={ONE}", f"tcp-alternate-server={TWO}"],
            {"UDP": [ONE], "TCP": [TWO]},
        ),
        ([f"tls-alternate-server={ONE}"], {"TLS": [ONE], "DTLS": [ONE]}),
        (
            [
                f"alternate-server={ONE}",
                f"udp-alternate-server={TWO}",
                f"tcp-alternate-server={THREE}",
                f"tls-alternate-server={FOUR}",
            ],
            {"UDP": [TWO], "TCP": [THREE], "TLS": [FOUR], "DTLS": [FOUR]},
        ),
    ],
)
def test_each_transport_has_its_list(
    reading: Reading, lines: list[str], expected: dict[str, list[str]]
) -> None:
    assert alternates(reading, *lines) == expected


@pytest.mark.parametrize("key", ["alternate-server", "tls-alternate-server"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2001:db8::1", "expected HOST or HOST:PORT, an IPv6 address in brackets"),
        ("192.0.2.1:", "expected HOST or HOST:PORT, an IPv6 address in brackets"),
        ("192.0.2.1:x", "expected HOST or HOST:PORT, an IPv6 address in brackets"),
        ("192.0.2.1 3478", "expected HOST or HOST:PORT, an IPv6 address in brackets"),
        ("192.0.2.1:0", "expected a port from 1 to 65535"),
        ("192.0.2.1:65536", "expected a port from 1 to 65535"),
        ("[192.0.2.1]x", "expected HOST or HOST:PORT, an IPv6 address in brackets"),
        ("0.0.0.0:3478", "expected an address that clients can reach"),
        ("[::]:3478", "expected an address that clients can reach"),
        ("192.0.2.256", "expected an IP address or a host name"),
        ("nowhere.example.com", "expected an IP address or a host name that resolves"),
    ],
)
def test_what_names_no_server_is_refused(
    reading: Reading, key: str, text: str, complaint: str
) -> None:
    problems = reading.problems(f"user=a:b\n{key}={text}\n")
    assert problems == [f"turnserver.conf:2: {key}: {complaint}, got {text!r}"]
