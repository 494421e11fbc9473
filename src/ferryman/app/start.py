"""Puts the rooms together and starts them; the one module that sees every room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from functools import partial

from ferryman import __version__
from ferryman.app.background import detach
from ferryman.app.certificate import read_secured, secure
from ferryman.app.greeting import greet
from ferryman.app.keys import keys_of, secrets_of, token_chore, token_database
from ferryman.app.log_output import OpenLog, journal_log, open_log, tell_notices
from ferryman.app.nonces import CLOCK_SECONDS, clock_watch
from ferryman.app.offload import offload_channels
from ferryman.app.own_addresses import foreign
from ferryman.app.privileges import PrivilegeError
from ferryman.app.process import (
    keep_large_blocks_apart,
    raise_open_files_limit,
    settle_memory,
)
from ferryman.app.relay_sockets import bind_relay, release_relay
from ferryman.app.reload import Reload
from ferryman.app.running import Running
from ferryman.app.standing import Standing
from ferryman.app.translation import engine_state, to_server_settings
from ferryman.config import Configuration
from ferryman.config.certificates import CertificateError
from ferryman.config.names import Resolve, resolve_name
from ferryman.config.state_file import StateFileError
from ferryman.datapath import _native
from ferryman.server import external_address, gate_log, siege
from ferryman.server.discovery import offer_discovery
from ferryman.server.external_address import ExternalAddressError, ExternalAddresses
from ferryman.server.gate_log import GateLog
from ferryman.server.leaving import Leaving
from ferryman.server.listening import ListenError, Listeners
from ferryman.server.pump import Pump
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.relay_ports import RelayPorts
from ferryman.server.service import Service
from ferryman.server.service_manager import ServiceManager
from ferryman.server.siege import Siege
from ferryman.store.oauth_keys import StoreError
from ferryman.tools.command_line import ServeFlags, command_line, turnserver_command

_CANNOT_START = (
    CertificateError,
    ExternalAddressError,
    ListenError,
    PrivilegeError,
    StateFileError,
    StoreError,
)


def main() -> None:
    """The `ferryman` program."""
    command_line(serve)()


def turnserver() -> None:
    """The `turnserver` program: the same server under coturn's name."""
    turnserver_command(serve)()


def serve(
    configuration: Configuration,
    flags: ServeFlags,
    *,
    resolve: Resolve = resolve_name,
    external_seconds: float = external_address.SECONDS,
) -> int:
    """Run the server until a signal ends it; returns the exit status. With `daemon` it returns in
    two processes: in this one as soon as the other serves, or cannot.

    `resolve` looks names up that are followed, every `external_seconds`.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until the service listens to signals there is nothing to close.
        signal.signal(number, lambda *_: sys.exit(0))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    stays = configuration.daemon and ServiceManager(os.environ).waits_for_this_process
    background = detach() if configuration.daemon and not stays else None
    if isinstance(background, int):
        return background
    opened, complaints = open_log(
        configuration, flags.program, in_background=background is not None
    )
    log = opened.log
    for complaint in complaints:
        _complain(complaint, opened)
    log.info("starting", version=__version__, realm=configuration.realm)
    if stays:
        log.info("daemon: systemd waits for this process, which stays in the foreground")
    tell_notices(configuration.notices, log)
    raise_open_files_limit()
    keep_large_blocks_apart()
    standing = Standing(configuration, background, opened.stream, log)
    try:
        secrets = secrets_of(configuration)
        settings = to_server_settings(configuration)
        externals = ExternalAddresses(settings, resolve, log, external_seconds)
        asyncio.run(_run(configuration, secrets, flags, externals, opened, standing))
    except _CANNOT_START as error:
        _complain(str(error), opened)
        return 1
    except Exception:
        log.exception("the server failed; please report this")
        raise
    finally:
        standing.ended()
    return 0


def _complain(text: str, opened: OpenLog) -> None:
    """On stderr as well, wherever the log goes: somebody may be waiting there."""
    opened.log.error(text)
    if not opened.on_stderr:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


async def _run(
    configuration: Configuration,
    secrets: tuple[str, ...],
    flags: ServeFlags,
    externals: ExternalAddresses,
    opened: OpenLog,
    standing: Standing,
) -> None:
    log = opened.log
    running = await _open(configuration, secrets, externals, opened)
    service = _service(running, flags, opened)

    def ready() -> None:
        settle_memory()
        log.info("ready", realm=configuration.realm, peer_policy=configuration.peer_policy.value)
        if flags.greeting:
            alternate = configuration.alternate_port if configuration.discovery else None
            opened_at = running.listeners.opened
            greeted = tuple(
                one for one in opened_at if one.address.port != alternate and one.fronts is None
            )
            name = running.secured.name if running.secured is not None else None
            greet(configuration, secrets, running.addresses, greeted, name)
        standing.serving()

    offload_channels(running.datapath, configuration, externals.settings, log)
    standing.opened()
    await service.run(ready)


def _datapath(configuration: Configuration) -> _native.Datapath:
    return _native.Datapath(
        fingerprint=configuration.fingerprint,
        mapped_address=configuration.mapped_address,
        workers=configuration.workers,
        source_connections=configuration.source_connections,
        total_connections=configuration.total_connections,
        software=configuration.software,
        binding=configuration.binding.value,
        respond_http_unsupported=configuration.respond_http_unsupported,
        acme_redirect=configuration.acme_redirect,
        log_binding=configuration.log_binding,
        log_invalid=configuration.log_invalid,
        rfc3489=configuration.rfc3489,
        buffer=configuration.socket_buffer,
        listening_device=configuration.listening_device,
        relay_device=configuration.relay_device,
    )


async def _open(
    configuration: Configuration,
    secrets: tuple[str, ...],
    externals: ExternalAddresses,
    opened: OpenLog,
) -> Running:
    """All that a server needs, its listeners bound; nothing is served yet."""
    log = opened.log
    datapath = _datapath(configuration)
    secured = read_secured(configuration)
    secure(datapath, secured, log)
    settings = await externals.find()
    listeners = Listeners(datapath, log)
    listeners.change(settings.listeners)
    addresses = RelayAddresses(settings)
    for address in foreign(settings.relay_ips):
        # It may come later: a cluster's, on the node that waits.
        log.warning("relay-ip is no address of this machine, nobody can relay from it", ip=address)
    offer_discovery(datapath, settings, addresses, log)
    state = engine_state(configuration, settings)
    ports = RelayPorts(
        addresses,
        settings.minimum_port,
        settings.maximum_port,
        partial(bind_relay, datapath),
        partial(release_relay, datapath),
    )
    database = token_database(configuration, log)
    keys = keys_of(configuration, secrets, database)
    journal = journal_log(configuration, state, opened)
    pump = Pump(datapath, state, keys, ports, journal, log)
    running = Running(
        configuration,
        datapath,
        state,
        pump,
        listeners,
        addresses,
        ports,
        externals,
        secured,
        database,
        log,
        opened.threshold,
        journal,
    )
    externals.use = running.use
    running.guard()
    return running


def _siege(running: Running) -> Siege:
    return Siege(
        lambda: running.journal.challenges,
        lambda: running.datapath.counters()["challenged"],
        running.besiege,
        running.log,
    )


def _service(running: Running, flags: ServeFlags, opened: OpenLog) -> Service:
    """The server with its signals and chores."""
    log = opened.log
    manager = ServiceManager(os.environ)
    reload = Reload(running, flags.reread, opened.stream.reopen, manager, log)
    leaving = Leaving(running.state, running.patience, manager.draining, log)
    return Service(
        running.datapath,
        running.pump,
        running.refresh_own_addresses,
        leaving,
        manager,
        {
            signal.SIGTERM: lambda: leaving.terminate(now=time.monotonic_ns()),
            signal.SIGINT: leaving.stop,
            signal.SIGHUP: reload.everything,
            signal.SIGUSR1: lambda: leaving.drain(now=time.monotonic_ns()),
            signal.SIGUSR2: reload.certificate,
        },
        log,
        running.externals.watch,
        chores=(
            token_chore(lambda: running.database, log),
            (CLOCK_SECONDS, clock_watch(running.state, running.guard)),
            (gate_log.SECONDS, GateLog(running.datapath.counters, log).tell),
            (siege.SECONDS, _siege(running).look),
        ),
    )
