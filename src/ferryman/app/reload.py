"""SIGHUP and SIGUSR2: the configuration, or the certificate alone, read and put in force anew.

All or nothing, and without a word to running calls. What may take its time happens aside, before
anything has changed; what may fail and can be taken back comes next; then all the rest at once,
between two requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from structlog.typing import FilteringBoundLogger

from ferryman.app.certificate import Secured, read_secured, secure_anew
from ferryman.app.keys import keys_of, secrets_of, token_database
from ferryman.app.log_output import tell_notices, threshold_of
from ferryman.app.own_addresses import foreign
from ferryman.app.reload_limits import changes, within_limits
from ferryman.app.running import Running
from ferryman.app.translation import to_server_settings
from ferryman.auth.sources import Keys
from ferryman.config import Configuration, ConfigurationError
from ferryman.config.certificates import CertificateError
from ferryman.config.state_file import StateFileError
from ferryman.server import settings as server_settings
from ferryman.server.aside import aside
from ferryman.server.external_address import ExternalAddressError, ExternalAddresses
from ferryman.server.listening import ListenError
from ferryman.server.service_manager import ServiceManager
from ferryman.store.oauth_keys import OauthKeys, StoreError

Reread = Callable[[], Configuration]

_FAILURES = (
    CertificateError,
    ConfigurationError,
    ExternalAddressError,
    ListenError,
    StateFileError,
    StoreError,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that had to be read and worked out; nothing of it is in force. `stays`: keys that need a
    restart."""

    configuration: Configuration
    stays: tuple[str, ...]
    secured: Secured | None
    database: OauthKeys | None
    keys: Keys


class Reload:
    """One reload at a time; a signal that comes meanwhile is followed when it is done."""

    def __init__(
        self,
        running: Running,
        reread: Reread | None,
        reopen_log: Callable[[], None],
        manager: ServiceManager,
        log: FilteringBoundLogger,
    ) -> None:
        self._running = running
        self._reread = reread
        self._reopen_log = reopen_log
        self._manager = manager
        self._log = log
        self._wishes: list[Callable[[], Awaitable[None]]] = []
        self._at_work: asyncio.Task[None] | None = None

    def everything(self) -> None:
        """SIGHUP, which logrotate sends as well: the log begins anew, whatever the file says."""
        self._reopen_log()
        self._wish(self._reload)

    def certificate(self) -> None:
        """SIGUSR2."""
        self._wish(self._renew)

    def _wish(self, work: Callable[[], Awaitable[None]]) -> None:
        if work not in self._wishes:
            self._wishes.append(work)
        if self._at_work is None or self._at_work.done():
            self._at_work = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._wishes:
            await self._wishes.pop(0)()

    async def _reload(self) -> None:
        self._manager.reloading()
        try:
            trouble = await self._attempt()
        except Exception:
            trouble = "a fault of the server"
            self._log.exception("a reload has failed; please report this")
        self._manager.reloaded(trouble)

    async def _attempt(self) -> str:
        """Why nothing has changed; nothing where it has."""
        before = self._running.configuration
        try:
            prepared = await aside(self._prepare, "reload")
            externals = await self._settings(prepared.configuration)
            self._put_in_force(prepared, *externals)
        except _FAILURES as error:
            reason = "; ".join(str(error).splitlines())
            self._log.error("not reloaded, all stays as it was", reason=reason)
            return reason
        self._tell(before, prepared)
        return ""

    def _prepare(self) -> Prepared:
        """Everything that reads files and asks for names."""
        running = self._running
        new = running.configuration if self._reread is None else self._reread()
        configuration, stays = within_limits(running.configuration, new)
        for address in foreign(set(configuration.relay_ips) - set(running.configuration.relay_ips)):
            raise ListenError(f"relay-ip: {address} is no address of this machine")
        secured = read_secured(configuration)
        database = running.database
        if _database_file(configuration) != _database_file(running.configuration):
            database = token_database(configuration, self._log)
        keys = keys_of(configuration, secrets_of(configuration), database)
        return Prepared(configuration, stays, secured, database, keys)

    async def _settings(
        self, configuration: Configuration
    ) -> tuple[server_settings.Settings, ExternalAddresses | None]:
        """The external addresses that are known stay, unless others are asked for: those are
        found out first."""
        running = self._running
        settings = to_server_settings(configuration)
        if _outside(configuration) == _outside(running.configuration):
            known = running.externals.settings
            external, by_default = known.external, known.external_by_default
            return replace(settings, external=external, external_by_default=by_default), None
        externals = running.externals.asking(settings)
        return await externals.find(), externals

    def _put_in_force(
        self,
        prepared: Prepared,
        settings: server_settings.Settings,
        externals: ExternalAddresses | None,
    ) -> None:
        running = self._running
        listeners, impossible = running.listeners.possible(settings.listeners)
        secure_anew(running.datapath, running.secured, prepared.secured, self._log)
        try:
            running.listeners.change(listeners)
        except ListenError:
            secure_anew(running.datapath, prepared.secured, running.secured, self._log)
            raise
        running.secured, running.database = prepared.secured, prepared.database
        settings = replace(settings, listeners=listeners)
        running.adopt(prepared.configuration, settings, prepared.keys)
        if externals is not None:
            running.externals.take_over(externals)
            running.externals.settings = settings
        for listener in impossible:
            name = f"{listener.transport.name} {listener.address}"
            self._log.warning("needs a restart, stays as it was", what=f"listening on {name}")

    def _tell(self, before: Configuration, prepared: Prepared) -> None:
        now = prepared.configuration
        tell_notices((one for one in now.notices if one not in before.notices), self._log)
        for key in prepared.stays:
            self._log.warning("needs a restart, stays as it was", what=key)
        self._log.info("reloaded", changed=",".join(changes(before, now)))
        self._running.say(threshold_of(now))

    async def _renew(self) -> None:
        running = self._running
        if running.configuration.tls is None:
            self._log.info("there is no certificate to renew: TLS is not spoken")
            return
        try:
            secured = await aside(lambda: read_secured(running.configuration), "certificate")
            secure_anew(running.datapath, running.secured, secured, self._log)
        except (CertificateError, StateFileError) as error:
            reason = str(error)
            self._log.error(
                "the certificate is not renewed, the old one stays in use", reason=reason
            )
            return
        running.secured = secured


def _database_file(configuration: Configuration) -> object:
    return None if configuration.third_party is None else configuration.third_party.database


def _outside(configuration: Configuration) -> tuple[object, ...]:
    """Where the external addresses come from: what a name stands for today is no part of it."""
    given = tuple(
        (pair.name or pair.public, pair.private, len(pair.public))
        for pair in configuration.external_ips
    )
    automatic, server = configuration.external_auto, configuration.external_stun
    return (given, automatic, server, configuration.relay_ips if server else ())
