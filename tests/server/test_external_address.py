"""What relayed addresses are known by outside: names that change, STUN servers, interfaces."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.server import external_address, stun_question
from ferryman.server.external_address import (
    ExternalAddressError,
    ExternalAddresses,
    InterfaceSource,
    StunSource,
)
from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.server.settings import ExternalName, Settings
from ferryman.server.stun_question import mapped_ip, mapped_ip_untrusted
from ferryman.wire.address import Address, Family
from ferryman.wire.message import decode_untrusted, encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_xor_address

PRIVATE = Address.of("10.0.0.5", 0).ip
LOOPBACK = Address.of("127.0.0.1", 0).ip
NAME = "turn.example.com"


def ip(text: str) -> bytes:
    return Address.of(text, 0).ip


class Names:
    """A resolver whose answers are changed by hand."""

    def __init__(self, **answers: tuple[bytes, ...] | OSError) -> None:
        self.answers: dict[str, tuple[bytes, ...] | OSError] = dict(answers)
        self.asked_on: set[threading.Thread] = set()

    def __call__(self, name: str) -> tuple[bytes, ...]:
        self.asked_on.add(threading.current_thread())
        answer = self.answers[name]
        if isinstance(answer, OSError):
            raise answer
        return answer


class Watched:
    """ExternalAddresses with its log, and every settings value that it put to use."""

    def __init__(self, settings: Settings, names: Names) -> None:
        self.stream = io.StringIO()
        log = make_log(Format.TEXT, stream=SteadyStream(self.stream))
        self.externals = ExternalAddresses(settings, names, log)
        self.used: list[Settings] = []
        self.externals.use = self.used.append

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            asyncio.run(self.externals.look())

    def lines(self, words: str) -> list[str]:
        return [line for line in self.stream.getvalue().splitlines() if words in line]


def named(*places: tuple[str, str | None]) -> Settings:
    """NAME stands for these public IPs now, each of a private one or of all others."""
    names = tuple(
        ExternalName(NAME, Family.of(ip(public)), ip(private) if private else None)
        for public, private in places
    )
    return Settings(
        listeners=(),
        external={ip(private): ip(public) for public, private in places if private},
        external_by_default=tuple(ip(public) for public, private in places if not private),
        external_names=names,
    )


def test_a_name_that_stays_changes_nothing() -> None:
    watched = Watched(named(("192.0.2.1", None)), Names(**{NAME: (ip("192.0.2.1"),)}))
    watched.look(3)
    assert watched.used == []
    assert watched.stream.getvalue() == ""


def test_a_bare_name_that_changes_is_followed() -> None:
    names = Names(**{NAME: (ip("192.0.2.2"), ip("192.0.2.3"))})
    watched = Watched(named(("192.0.2.1", None)), names)
    watched.look(2)
    [settings] = watched.used
    assert settings.external_by_default == (ip("192.0.2.2"),)
    assert len(watched.lines(f'the external address has changed" source={NAME}')) <= 1
    assert len(watched.lines("192.0.2.2")) == 1
    assert threading.main_thread() not in names.asked_on


def test_a_pair_with_a_name_is_followed_for_its_relay_ip_alone() -> None:
    watched = Watched(named(("192.0.2.1", "10.0.0.5")), Names(**{NAME: (ip("192.0.2.9"),)}))
    watched.look()
    assert watched.used[0].external == {PRIVATE: ip("192.0.2.9")}
    assert watched.used[0].external_by_default == ()


def test_of_each_family_the_first_address_counts_and_a_missing_one_stays() -> None:
    names = Names(**{NAME: (ip("2001:db8::2"), ip("192.0.2.2"), ip("192.0.2.3"))})
    watched = Watched(named(("192.0.2.1", None), ("2001:db8::1", None)), names)
    watched.look()
    assert set(watched.used[0].external_by_default) == {ip("192.0.2.2"), ip("2001:db8::2")}
    names.answers[NAME] = (ip("192.0.2.4"),)
    watched.look()
    assert set(watched.used[1].external_by_default) == {ip("192.0.2.4"), ip("2001:db8::2")}


def test_a_name_that_fails_later_keeps_its_last_value_and_says_so_once() -> None:
    names = Names(**{NAME: OSError("no such host")})
    watched = Watched(named(("192.0.2.1", None)), names)
    watched.look(3)
    assert watched.used == []
    [line] = watched.lines("external-ip is not answered")
    assert "no such host" in line
    names.answers[NAME] = ()
    watched.look()
    names.answers[NAME] = (ip("192.0.2.1"),)
    watched.look(2)
    assert len(watched.lines("external-ip is answered again")) == 1
    names.answers[NAME] = OSError("gone again")
    watched.look()
    assert len(watched.lines("external-ip is not answered")) == 2


def test_an_answer_that_comes_after_others_have_been_asked_is_too_late() -> None:
    released = threading.Event()

    def slow(name: str) -> tuple[bytes, ...]:
        released.wait(10)
        return (ip("192.0.2.2"),)

    log = make_log(Format.TEXT, stream=SteadyStream(io.StringIO()))
    externals = ExternalAddresses(named(("192.0.2.1", None)), slow, log)

    async def taken_over_meanwhile() -> None:
        look = asyncio.create_task(externals.look())
        await asyncio.sleep(0)
        externals.take_over(externals.asking(named(("192.0.2.9", None))))
        released.set()
        await look

    asyncio.run(taken_over_meanwhile())
    assert externals.settings.external_by_default == (ip("192.0.2.9"),)


def test_a_resolver_that_hangs_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_address, "PATIENCE", 0.05)
    released = threading.Event()

    def hangs(name: str) -> tuple[bytes, ...]:
        released.wait(10)
        return ()

    log = make_log(Format.TEXT, stream=SteadyStream(io.StringIO()))
    externals = ExternalAddresses(named(("192.0.2.1", None)), hangs, log)

    async def others_go_on() -> int:
        look, turns = asyncio.create_task(externals.look()), 0
        while not look.done():
            turns += 1
            await asyncio.sleep(0.001)
        return turns

    assert asyncio.run(others_go_on()) > 3
    released.set()


@contextmanager
def stun_server(mapped: str | None) -> Iterator[Address]:
    """Answers every Binding request with this mapped IP, after something that is no answer; or,
    with None, not at all."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                request, client = server.recvfrom(2048)
                if request == b"stop":
                    return
                if mapped is None:
                    continue
                transaction_id = decode_untrusted(request).transaction_id
                server.sendto(b"noise", client)
                server.sendto(_answer(mapped, os.urandom(12)), client)
                server.sendto(_answer(mapped, transaction_id), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address.of(*server.getsockname())
        finally:
            server.sendto(b"stop", server.getsockname())
            thread.join()


def _answer(mapped: str, transaction_id: bytes, method: int = Method.BINDING) -> bytes:
    value = encode_xor_address(Address.of(mapped, 40_000), transaction_id)
    attributes = [(Attribute.XOR_MAPPED_ADDRESS, value)]
    return encode(MessageClass.SUCCESS, method, transaction_id, attributes)


def automatic(stun: Address | None, **more: object) -> Settings:
    where = (stun.host, stun.port) if stun else None
    return Settings(listeners=(), external_auto=True, external_stun=where, **more)  # type: ignore[arg-type]


def test_auto_asks_the_stun_server_at_the_start_and_again() -> None:
    with stun_server("203.0.113.7") as server:
        watched = Watched(automatic(server), Names())
        settings = asyncio.run(watched.externals.find())
        watched.look(2)
    assert settings.external_by_default == (ip("203.0.113.7"),)
    assert watched.used == []
    assert len(watched.lines("203.0.113.7")) == 1


def test_auto_asks_from_every_relay_ip() -> None:
    relay_ips = (LOOPBACK, ip("127.0.0.2"), ip("2001:db8::1"))
    with stun_server("203.0.113.7") as server:
        found = asyncio.run(StunSource(server.host, server.port, relay_ips, Names()).ask())
    families = {(Family.IPV4, LOOPBACK), (Family.IPV4, ip("127.0.0.2"))}
    assert dict.fromkeys(families, ip("203.0.113.7")) == found


def test_a_stun_server_that_is_silent_stops_the_start_with_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stun_question, "WAITS", (0.01, 0.01))
    with stun_server(None) as server:
        watched = Watched(automatic(server), Names())
        with pytest.raises(ExternalAddressError, match=f"external-ip=auto: {server} does not"):
            asyncio.run(watched.externals.find())


@pytest.mark.parametrize("mapped", ["0.0.0.0", "224.0.0.1"])
def test_a_mapped_address_that_no_host_can_have_is_no_answer(
    mapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stun_question, "WAITS", (0.05,))
    with stun_server(mapped) as server, pytest.raises(OSError, match="does not answer"):
        asyncio.run(mapped_ip(server))


def test_a_port_where_nobody_listens_is_an_os_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = Address.of(*nobody.getsockname())
    with pytest.raises(OSError, match="refused"):
        asyncio.run(mapped_ip(server))


@given(packet=st.binary(max_size=60))
def test_no_bytes_raise(packet: bytes) -> None:
    assert mapped_ip_untrusted(packet, bytes(12)) is None


def test_only_the_answer_to_the_question_counts() -> None:
    mine = bytes(range(12))
    assert mapped_ip_untrusted(_answer("192.0.2.1", mine), mine) == ip("192.0.2.1")
    assert mapped_ip_untrusted(_answer("192.0.2.1", bytes(12)), mine) is None
    assert mapped_ip_untrusted(_answer("192.0.2.1", mine, Method.ALLOCATE), mine) is None


def test_auto_takes_the_interfaces_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    own = frozenset(map(ip, ("10.0.0.5", "8.8.4.4", "1.1.1.1", "fd00::1", "127.0.0.1")))
    monkeypatch.setattr(external_address, "interface_addresses", lambda: own)
    monkeypatch.setattr(external_address, "primary_address", lambda family: PRIVATE)
    found = asyncio.run(InterfaceSource().ask())
    assert found == {
        (Family.IPV4, ip("8.8.4.4")): ip("8.8.4.4"),
        (Family.IPV4, ip("1.1.1.1")): ip("1.1.1.1"),
        (Family.IPV4, None): ip("1.1.1.1"),
    }
    monkeypatch.setattr(external_address, "primary_address", lambda family: ip("8.8.4.4"))
    assert asyncio.run(InterfaceSource().ask())[Family.IPV4, None] == ip("8.8.4.4")


def test_auto_behind_a_nat_without_a_stun_server_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(external_address, "interface_addresses", lambda: frozenset((PRIVATE,)))
    watched = Watched(automatic(None), Names())
    with pytest.raises(ExternalAddressError, match="external-ip-stun"):
        asyncio.run(watched.externals.find())
