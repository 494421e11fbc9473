"""rfc5780 needs two addresses and two ports, and says in one line which of them is missing."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ferryman.config import Configuration
from tests.config.reading import CREDENTIALS, Reading

ONE, OTHER = "listening-ip=192.0.2.1", "listening-ip=192.0.2.2"
V6 = ("listening-ip=2001:db8::1", "listening-ip=2001:db8::2")


def ip(text: str) -> bytes:
    return ip_address(text).packed


def said(reading: Reading, configuration: Configuration) -> list[str]:
    """What is said about these two keys."""
    keys = ("rfc5780", "alt-listening-port")
    return [line for line in reading.notices(configuration) if any(key in line for key in keys)]


def test_it_is_off_by_default(reading: Reading) -> None:
    assert not reading.lines(ONE, OTHER).discovery
    assert not reading.lines(ONE, "rfc5780=no").discovery


def test_two_addresses_of_a_family_make_a_pair(reading: Reading) -> None:
    configuration = reading.lines("rfc5780", ONE, V6[0], OTHER)
    assert configuration.discovery
    assert configuration.discovery_pairs() == ((ip("192.0.2.1"), ip("192.0.2.2")),)
    assert configuration.alternate_port == 3479
    assert said(reading, configuration) == []


def test_both_families_may_have_a_pair(reading: Reading) -> None:
    pairs = reading.lines("rfc5780", *V6, ONE, OTHER).discovery_pairs()
    assert pairs == ((ip("192.0.2.1"), ip("192.0.2.2")), (ip("2001:db8::1"), ip("2001:db8::2")))


def test_of_three_addresses_the_first_two_count_and_it_says_so(reading: Reading) -> None:
    configuration = reading.lines("rfc5780", OTHER, ONE, "listening-ip=192.0.2.3")
    assert configuration.discovery_pairs() == ((ip("192.0.2.2"), ip("192.0.2.1")),)
    assert said(reading, configuration) == [
        "info: turnserver.conf:2: rfc5780: 192.0.2.2 and 192.0.2.1 are its two addresses"
    ]


def test_zero_is_the_port_after_the_first(reading: Reading) -> None:
    configuration = reading.lines(
        "rfc5780", ONE, OTHER, "listening-port=5000", "alt-listening-port=0"
    )
    assert configuration.alternate_port == 5001


TWO = "expected two listening-ip of one family"
NONE = f"turnserver.conf:2: rfc5780: {TWO}; with all addresses none is told from another"
SINGLE = f"turnserver.conf:2: rfc5780: {TWO}, got one"
SAME = (
    "turnserver.conf:2: rfc5780: both listening-ip are 203.0.113.1 outside: "
    "expected an external-ip PUBLIC/PRIVATE for each"
)


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ((), [NONE]),
        (("listening-ip=0.0.0.0",), [NONE]),
        (("listening-ip=0.0.0.0", "listening-ip=::"), [NONE]),
        ((ONE,), [SINGLE]),
        ((ONE, ONE), [SINGLE]),
        ((ONE, V6[0]), [SINGLE]),
        ((ONE, "listening-ip=0.0.0.0"), [SINGLE]),
        ((ONE, OTHER, "external-ip=203.0.113.1"), [SAME]),
        (
            (ONE, OTHER, "external-ip=203.0.113.1/192.0.2.1", "external-ip=203.0.113.1/192.0.2.2"),
            [SAME],
        ),
        (
            (ONE, OTHER, "alt-listening-port=3478"),
            [
                "turnserver.conf:5: alt-listening-port: "
                "expected a second port from 1 to 65535 beside listening-port 3478"
            ],
        ),
        (
            (ONE, OTHER, "listening-port=65535"),
            [
                "turnserver.conf:2: alt-listening-port: "
                "expected a second port from 1 to 65535 beside listening-port 65535"
            ],
        ),
        (
            (ONE, OTHER, "listening-port=0"),
            [
                "turnserver.conf:2: alt-listening-port: "
                "expected a second port from 1 to 65535 beside listening-port 0"
            ],
        ),
    ],
)
def test_what_is_missing_stops_the_start(
    reading: Reading, lines: tuple[str, ...], problems: list[str]
) -> None:
    assert reading.problems(CREDENTIALS + "\n".join(["rfc5780", *lines])) == problems


@pytest.mark.parametrize(
    "lines",
    [
        (ONE, OTHER, "external-ip=203.0.113.1/192.0.2.1", "external-ip=203.0.113.2/192.0.2.2"),
        (ONE, OTHER, "external-ip=203.0.113.1", "external-ip=203.0.113.2/192.0.2.2"),
        (ONE, OTHER, "external-ip=2001:db8::9"),
        ("listening-ip=127.0.0.1", "listening-ip=127.0.0.2", "external-ip=203.0.113.1"),
    ],
)
def test_two_addresses_outside_are_fine(reading: Reading, lines: tuple[str, ...]) -> None:
    assert reading.problems(CREDENTIALS + "\n".join(["rfc5780", *lines])) == []


def test_a_second_port_alone_does_nothing_and_says_so(reading: Reading) -> None:
    configuration = reading.lines("alt-listening-port=4000")
    assert said(reading, configuration) == [
        "warning: turnserver.conf:2: alt-listening-port: no effect without rfc5780"
    ]


def test_a_value_in_doubt_is_not_judged_twice(reading: Reading) -> None:
    problems = reading.problems(CREDENTIALS + "rfc5780\nlistening-ip=192.0.2.300\n")
    assert len(problems) == 1
