"""Where the server listens: opened at the start, and changed while it runs, all or nothing.

Knows no protocol. Clients of a listener that is given up are the datapath's affair.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger

from ferryman.server.settings import Listener
from ferryman.wire.address import Address


class ListenError(Exception):
    """A listener could not be opened; the text says which and why."""


class Listening(Protocol):
    """What this needs of the native datapath (see `_native.pyi`)."""

    def listen_udp(self, ip: bytes, port: int) -> int: ...
    def listen_tcp(self, ip: bytes, port: int) -> int: ...
    def listen_tls(self, ip: bytes, port: int) -> int: ...
    def listen_fronts(
        self, ip: bytes, port: int, *, fronts: Sequence[tuple[bytes, bytes]], plain: bool
    ) -> int: ...
    def retire_udp(self, ip: bytes, port: int) -> None: ...
    def retire_tcp(self, ip: bytes, port: int) -> None: ...


class Place(NamedTuple):
    """What one socket is bound to. UDP and DTLS share it, and so do TCP and TLS."""

    is_stream: bool
    address: Address

    @property
    def is_wildcard(self) -> bool:
        return not any(self.address.ip)

    def clashes(self, other: Place) -> bool:
        """Whether one of them is the wildcard that the other lies under."""
        return (
            self != other
            and self.is_stream == other.is_stream
            and self.address.port == other.address.port
            and self.address.family is other.address.family
            and (self.is_wildcard or other.is_wildcard)
        )


class Listeners:
    """The listeners of one server, by the place that was asked for."""

    def __init__(self, datapath: Listening, log: FilteringBoundLogger) -> None:
        self._datapath = datapath
        self._log = log
        self._opened: dict[Place, Listener] = {}

    @property
    def opened(self) -> tuple[Listener, ...]:
        """All of them, with the ports that they really have."""
        return tuple(self._opened.values())

    def possible(
        self, wanted: Iterable[Listener]
    ) -> tuple[tuple[Listener, ...], tuple[Listener, ...]]:
        """What can be listened at in place of `wanted`, and those of it that cannot be opened: a
        single address under a wildcard that is open and may have clients, or the other way
        about. Then what is open stays."""
        wished = {_place(one): one for one in wanted}
        blocked = {place for place in wished if any(map(place.clashes, self._opened))}
        blocking = {place for place in self._opened if any(map(place.clashes, blocked))}
        stays = [
            replace(self._opened[place], address=place.address)
            for place in blocking - wished.keys()
        ]
        can = [one for place, one in wished.items() if place not in blocked]
        return (*can, *stays), tuple(wished[place] for place in blocked)

    def change(self, wanted: Iterable[Listener]) -> None:
        """Listen at these places and no others. Raises ListenError; then all is as it was."""
        wished = {_place(one): one for one in wanted}
        gone = {
            place: one
            for place, one in self._opened.items()
            if not _is_same(one, wished.get(place))
        }
        self._open_new(
            {
                place: one
                for place, one in wished.items()
                if place in gone or place not in self._opened
            },
            gone,
        )
        for place in gone.keys() - wished.keys():
            self._retire(self._opened.pop(place))

    def _open_new(self, new: Mapping[Place, Listener], gone: Mapping[Place, Listener]) -> None:
        """A place that changes its kind is given up first."""
        before = dict(self._opened)
        try:
            for place, listener in new.items():
                if place in gone:
                    self._retire(self._opened.pop(place))
                self._opened[place] = self._open(listener)
        except ListenError:
            self._go_back(before)
            raise

    def _go_back(self, before: Mapping[Place, Listener]) -> None:
        for place, listener in list(self._opened.items()):
            if before.get(place) != listener:
                self._retire(self._opened.pop(place))
        for place, listener in before.items():
            if place not in self._opened:
                self._opened[place] = self._open(listener)

    def _open(self, listener: Listener) -> Listener:
        transport, address = listener.transport, listener.address
        try:
            port = self._listen(listener)(address.ip, address.port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ListenError(f"cannot listen on {transport.name} {address}: {reason}") from error
        opened = replace(listener, address=Address(address.ip, port))
        self._log.info("listening", transport=_name(opened), address=str(opened.address))
        return opened

    def _listen(self, listener: Listener) -> Callable[[bytes, int], int]:
        datapath = self._datapath
        if not listener.transport.is_stream:
            return datapath.listen_udp
        if listener.fronts is not None:
            return partial(datapath.listen_fronts, fronts=listener.fronts, plain=listener.plain)
        return datapath.listen_tcp if listener.plain else datapath.listen_tls

    def _retire(self, listener: Listener) -> None:
        datapath, address = self._datapath, listener.address
        retire = datapath.retire_tcp if listener.transport.is_stream else datapath.retire_udp
        retire(address.ip, address.port)
        self._log.info(
            "listening no more", transport=_name(listener), address=str(listener.address)
        )


def _place(listener: Listener) -> Place:
    return Place(listener.transport.is_stream, listener.address)


def _is_same(one: Listener, other: Listener | None) -> bool:
    if other is None or not one.transport.is_stream:
        return other is not None
    return (one.plain, one.fronts) == (other.plain, other.fronts)


def _name(listener: Listener) -> str:
    name = listener.transport.name.lower()
    return name if listener.fronts is None else f"{name} behind front ends"
