"""Listeners that change together or not at all."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ferryman.engine.five_tuple import Transport
from ferryman.server.listening import ListenError, Listeners
from ferryman.server.log import Format, make_log
from ferryman.server.settings import Listener
from ferryman.wire.address import Address

ONE, OTHER, ANY = (Address.of(host, 3478) for host in ("192.0.2.1", "192.0.2.2", "0.0.0.0"))


@dataclass
class Ports:
    """What is listened at, as the kernel and the datapath keep it; `taken` is somebody else's."""

    open: dict[tuple[str, Address], str] = field(default_factory=dict)
    taken: set[Address] = field(default_factory=set)

    def listen_udp(self, ip: bytes, port: int) -> int:
        return self._listen("datagrams", "udp", ip, port)

    def listen_tcp(self, ip: bytes, port: int) -> int:
        return self._listen("streams", "tcp", ip, port)

    def listen_tls(self, ip: bytes, port: int) -> int:
        return self._listen("streams", "tls", ip, port)

    def listen_fronts(
        self, ip: bytes, port: int, *, fronts: Sequence[tuple[bytes, bytes]], plain: bool
    ) -> int:
        return self._listen("streams", f"{len(fronts)} fronts", ip, port)

    def retire_udp(self, ip: bytes, port: int) -> None:
        del self.open["datagrams", Address(ip, port)]

    def retire_tcp(self, ip: bytes, port: int) -> None:
        del self.open["streams", Address(ip, port)]

    def _listen(self, kind: str, name: str, ip: bytes, port: int) -> int:
        at = Address(ip, port or 50_000)
        if at in self.taken or (kind, at) in self.open:
            raise OSError(errno.EADDRINUSE, "taken")
        self.open[kind, at] = name
        return at.port


def make(*listeners: Listener) -> tuple[Ports, Listeners]:
    ports = Ports()
    opened = Listeners(ports, make_log(Format.TEXT))
    opened.change(listeners)
    return ports, opened


def udp(address: Address) -> Listener:
    return Listener(Transport.UDP, address)


def tcp(address: Address, *, plain: bool = True) -> Listener:
    return Listener(Transport.TCP if plain else Transport.TLS, address, plain)


def test_new_ones_are_opened_and_old_ones_given_up() -> None:
    ports, listeners = make(udp(ONE), tcp(ONE))
    listeners.change((tcp(ONE), udp(OTHER)))
    assert ports.open == {("streams", ONE): "tcp", ("datagrams", OTHER): "udp"}
    assert set(listeners.opened) == {tcp(ONE), udp(OTHER)}


def test_what_is_wanted_as_before_is_not_touched() -> None:
    ports, listeners = make(udp(ONE), tcp(ONE))
    ports.taken.add(ONE)
    listeners.change((tcp(ONE), Listener(Transport.DTLS, ONE)))
    assert len(ports.open) == 2


def test_a_failure_takes_everything_back() -> None:
    ports, listeners = make(udp(ONE), tcp(ONE))
    before, opened = dict(ports.open), set(listeners.opened)
    third = Address.of("192.0.2.3", 3478)
    ports.taken.add(third)
    with pytest.raises(ListenError, match=r"cannot listen on UDP 192.0.2.3:3478: Address already"):
        listeners.change((tcp(ONE, plain=False), udp(OTHER), udp(third)))
    assert ports.open == before
    assert set(listeners.opened) == opened


def test_front_ends_are_named_anew() -> None:
    one, other = ((bytes(4), bytes(4)),), ()
    ports, listeners = make(Listener(Transport.TCP, ONE, fronts=one))
    listeners.change((Listener(Transport.TCP, ONE, fronts=other),))
    assert ports.open == {("streams", ONE): "0 fronts"}
    listeners.change((tcp(ONE),))
    assert ports.open == {("streams", ONE): "tcp"}
    listeners.change((Listener(Transport.TCP, ONE, fronts=one),))
    assert ports.open == {("streams", ONE): "1 fronts"}


def test_a_listener_becomes_one_for_tls_alone_and_back() -> None:
    ports, listeners = make(tcp(ONE))
    listeners.change((tcp(ONE, plain=False),))
    assert ports.open == {("streams", ONE): "tls"}
    listeners.change((tcp(ONE),))
    assert ports.open == {("streams", ONE): "tcp"}


def test_a_port_of_the_systems_choice_stays_the_one_it_was() -> None:
    anything = Address(ONE.ip, 0)
    ports, listeners = make(udp(anything))
    listeners.change((udp(anything), tcp(ONE)))
    assert ("datagrams", Address(ONE.ip, 50_000)) in ports.open
    listeners.change((tcp(ONE),))
    assert ports.open == {("streams", ONE): "tcp"}


@pytest.mark.parametrize(("before", "after"), [(ANY, ONE), (ONE, ANY)])
def test_the_wildcard_and_an_address_under_it_do_not_change_places(
    before: Address, after: Address
) -> None:
    _, listeners = make(udp(before), tcp(before))
    can, cannot = listeners.possible((udp(after), tcp(after), tcp(after._replace(port=5349))))
    assert set(cannot) == {udp(after), tcp(after)}
    assert set(can) == {udp(before), tcp(before), tcp(after._replace(port=5349))}


def test_other_ports_and_other_families_do_not_clash() -> None:
    _, listeners = make(udp(ANY))
    wanted = (udp(ANY), udp(Address.of("::1", 3478)), udp(ONE._replace(port=3479)), tcp(ONE))
    assert listeners.possible(wanted) == (wanted, ())
