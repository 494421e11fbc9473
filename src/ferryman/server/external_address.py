"""What relayed addresses are known by outside, where that is asked rather than written down:
a DNS name, a STUN server or the interfaces (`external-ip=NAME`, `external-ip=auto`).

Asks at the start, and again and again; what was last answered holds until something else is.
Never blocks the event loop. Knows nothing of allocations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Protocol, TypeAlias

from structlog.typing import FilteringBoundLogger

from ferryman.server.aside import aside
from ferryman.server.own_addresses import interface_addresses, primary_address
from ferryman.server.settings import Settings
from ferryman.server.stun_question import mapped_ip
from ferryman.wire.address import Address, Family

SECONDS = 60.0
"""Between two questions about the same."""
PATIENCE = 30.0
"""Seconds until a question counts as unanswered."""

Resolve: TypeAlias = Callable[[str], tuple[bytes, ...]]
"""A name in, its addresses out; may take its time, and raises OSError."""

Place: TypeAlias = tuple[Family, bytes | None]
"""The relay IP that a public IP stands for; None: every other one of the family."""


class ExternalAddressError(Exception):
    """The external address cannot be found out at the start; the text says why."""


class Source(Protocol):
    """Something to ask; `label` is what the log calls it. `ask` raises OSError."""

    @property
    def label(self) -> str: ...
    async def ask(self) -> Mapping[Place, bytes]: ...


@dataclass(frozen=True, slots=True)
class NameSource:
    """A DNS name; of each family its first address counts."""

    label: str
    places: tuple[Place, ...]
    resolve: Resolve

    async def ask(self) -> Mapping[Place, bytes]:
        found = await resolved(self.resolve, self.label)
        first = {Family.of(ip): ip for ip in reversed(found)}
        return {place: first[place[0]] for place in self.places if place[0] in first}


@dataclass(frozen=True, slots=True)
class StunSource:
    """A STUN server, asked from every relay IP, or from wherever the route leads."""

    host: str
    port: int
    relay_ips: tuple[bytes, ...]
    resolve: Resolve
    label: str = "auto"

    async def ask(self) -> Mapping[Place, bytes]:
        found = await resolved(self.resolve, self.host)
        servers = {Family.of(ip): Address(ip, self.port) for ip in reversed(found)}
        places: list[Place] = [(Family.of(ip), ip) for ip in self.relay_ips]
        places = [place for place in places or [(family, None) for family in servers]
                  if place[0] in servers]  # fmt: skip
        answers = await asyncio.gather(
            *(mapped_ip(servers[family], ip) for family, ip in places), return_exceptions=True
        )
        known = {
            place: answer
            for place, answer in zip(places, answers, strict=True)
            if isinstance(answer, bytes)
        }
        if not known:
            reasons = [str(answer) for answer in answers if isinstance(answer, OSError)]
            raise OSError("; ".join(reasons) or f"{self.host} has no address of a relay's family")
        return known


@dataclass(frozen=True, slots=True)
class InterfaceSource:
    """The interfaces' own public addresses; a relay IP that is public itself stays what it is."""

    label: str = "auto"

    async def ask(self) -> Mapping[Place, bytes]:
        public = {ip for ip in interface_addresses() if ip_address(ip).is_global}
        found: dict[Place, bytes] = {(Family.of(ip), ip): ip for ip in public}
        for family in Family:
            primary = primary_address(family)
            candidates = sorted(ip for ip in public if Family.of(ip) is family)
            if candidates:
                found[family, None] = primary if primary in public and primary else candidates[0]
        if not found:
            raise OSError("no interface has a public address; name a server with external-ip-stun")
        return found


class ExternalAddresses:
    """Keeps one `Settings` true; `use` is called with each new one, on the event loop."""

    def __init__(
        self,
        settings: Settings,
        resolve: Resolve,
        log: FilteringBoundLogger,
        seconds: float = SECONDS,
    ) -> None:
        self.settings = settings
        self.use: Callable[[Settings], None] = lambda settings: None
        self._resolve = resolve
        self._automatic = _automatic(settings, resolve)
        self._sources = [*_named(settings, resolve), *self._automatic]
        self._log = log
        self._seconds = seconds
        self._unanswered: set[str] = set()

    async def find(self) -> Settings:
        """What holds at the start: names have been resolved before, the rest is asked now.

        Raises ExternalAddressError.
        """
        for source in self._automatic:
            try:
                found = await asyncio.wait_for(source.ask(), PATIENCE)
            except OSError as error:
                raise ExternalAddressError(f"external-ip={source.label}: {error}") from error
            self.settings = _with_external(self.settings, found)
            self._log.info("external address", source=source.label, address=_text(found))
        return self.settings

    def asking(self, settings: Settings) -> ExternalAddresses:
        """Another one for other settings, which has asked nobody yet."""
        return ExternalAddresses(settings, self._resolve, self._log, self._seconds)

    def take_over(self, other: ExternalAddresses) -> None:
        """From now on ask whom the other one asks, and hold what it has found."""
        self.settings = other.settings
        self._automatic, self._sources = other._automatic, other._sources
        self._unanswered = set()

    async def watch(self) -> None:
        """Ask again and again, for as long as the server runs."""
        while True:
            await asyncio.sleep(self._seconds)
            await self.look()

    async def look(self) -> None:
        """Ask everyone once more; what others are asked meanwhile (`take_over`) ends it."""
        sources = self._sources
        for source in sources:
            try:
                found = await asyncio.wait_for(source.ask(), PATIENCE)
            except OSError as error:
                silence, found = str(error) or "no answer in time", None
            if self._sources is not sources:
                return
            if found is None:
                self._tell_silence(source.label, silence)
            else:
                self._take(source.label, found)

    def _take(self, label: str, found: Mapping[Place, bytes]) -> None:
        if label in self._unanswered:
            self._unanswered.remove(label)
            self._log.info("external-ip is answered again", source=label)
        settings = _with_external(self.settings, found)
        if settings != self.settings:
            self.settings = settings
            self._log.info("the external address has changed", source=label, address=_text(found))
            self.use(settings)

    def _tell_silence(self, label: str, reason: str) -> None:
        if label not in self._unanswered:
            self._unanswered.add(label)
            self._log.warning(
                "external-ip is not answered, the last address stays", source=label, reason=reason
            )


async def resolved(resolve: Resolve, name: str) -> tuple[bytes, ...]:
    """What `resolve` says, asked in a thread of its own: it may take its time, and a server that
    stops does not wait for it. OSError also for no address at all."""
    try:
        return (ip_address(name).packed,)
    except ValueError:
        pass
    found = await aside(lambda: resolve(name), "resolver")
    if not found:
        raise OSError(f"{name} has no address")
    return found


def _named(settings: Settings, resolve: Resolve) -> list[Source]:
    places: dict[str, list[Place]] = {}
    for one in settings.external_names:
        places.setdefault(one.name, []).append((one.family, one.relay_ip))
    return [NameSource(name, tuple(where), resolve) for name, where in places.items()]


def _automatic(settings: Settings, resolve: Resolve) -> list[Source]:
    if not settings.external_auto:
        return []
    if settings.external_stun is None:
        return [InterfaceSource()]
    host, port = settings.external_stun
    return [StunSource(host, port, settings.relay_ips, resolve)]


def _with_external(settings: Settings, found: Mapping[Place, bytes]) -> Settings:
    external = dict(settings.external)
    by_default = {Family.of(ip): ip for ip in settings.external_by_default}
    for (family, relay_ip), public in found.items():
        if relay_ip is None:
            by_default[family] = public
        else:
            external[relay_ip] = public
    return replace(settings, external=external, external_by_default=tuple(by_default.values()))


def _text(found: Mapping[Place, bytes]) -> str:
    return ",".join(sorted({Address(ip, 0).host for ip in found.values()}))
