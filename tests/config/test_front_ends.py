"""Whom a server behind front ends believes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ferryman.config.listening import listeners
from ferryman.engine.five_tuple import Transport
from ferryman.server.settings import Listener
from ferryman.wire.address import Address
from tests.certificates import Pair, make_pair
from tests.config.reading import Reading

ANY = bytes(4)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp("pair"))


def spoken(reading: Reading, *lines: str) -> dict[tuple[Transport, int], Listener]:
    found = listeners(reading.lines(*lines), (ANY,))
    return {(one.transport, one.address.port): one for one in found}


def test_without_a_word_only_neighbours_are_believed(reading: Reading) -> None:
    configuration = reading.lines("tcp-proxy-port=5555", "no-tls")

    def believed(text: str) -> bool:
        ip = ip_address(text).packed
        return any(
            len(rule.first) == len(ip) and rule.first <= ip <= rule.last
            for rule in configuration.proxy_fronts
        )

    assert all(
        map(believed, ("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "::1", "fd00::1"))
    )
    assert not any(
        map(believed, ("192.0.2.1", "172.32.0.1", "100.64.0.1", "2001:db8::1", "fe80::1"))
    )
    assert any("name others with tcp-proxy-from" in line for line in reading.notices(configuration))


def test_those_that_are_named_are_believed_and_nobody_else(reading: Reading) -> None:
    lines = ("tcp-proxy-port=5555", "tcp-proxy-from=192.0.2.1", "tcp-proxy-from=2001:db8::/64")
    configuration = reading.lines(*lines)
    first, last = (
        ip_address("2001:db8::").packed,
        ip_address("2001:db8::ffff:ffff:ffff:ffff").packed,
    )
    one = ip_address("192.0.2.1").packed
    assert [(rule.first, rule.last) for rule in configuration.proxy_fronts] == [
        (one, one),
        (first, last),
    ]
    assert not any("tcp-proxy" in line for line in reading.notices(configuration))


def test_front_ends_without_their_port_are_told(reading: Reading) -> None:
    configuration = reading.lines("tcp-proxy-from=192.0.2.1")
    assert configuration.proxy_fronts == ()
    line = "warning: turnserver.conf:2: tcp-proxy-from: without tcp-proxy-port it has no effect"
    assert line in reading.notices(configuration)


def test_bad_front_ends_are_told(reading: Reading) -> None:
    text = "user=a:b\ntcp-proxy-port=5555\ntcp-proxy-from=192.0.2.1/99\n"
    (problem,) = reading.problems(text)
    assert problem.startswith("turnserver.conf:3: tcp-proxy-from: ")


@pytest.mark.parametrize(
    ("lines", "transport", "plain"),
    [((), Transport.TCP, True), (("no-tcp",), Transport.TLS, False)],
)
def test_streams_come_through_the_port_alone(
    reading: Reading, pair: Pair, lines: tuple[str, ...], transport: Transport, plain: bool
) -> None:
    found = spoken(reading, *pair.lines, "tcp-proxy-port=5555", "aux-server=192.0.2.1:99", *lines)
    datagrams = {(Transport.UDP, 3478), (Transport.UDP, 99), (Transport.DTLS, 5349)}
    assert found.keys() == datagrams | {(transport, 5555)}
    listener = found[transport, 5555]
    assert (listener.address, listener.plain) == (Address(ANY, 5555), plain)
    assert listener.fronts


def test_without_anything_to_speak_there_is_no_port(reading: Reading) -> None:
    found = listeners(reading.lines("tcp-proxy-port=5555", "no-tcp", "no-tls"), (ANY,))
    assert {one.transport for one in found} == {Transport.UDP}
