"""The one place that sees every room: turns a Configuration into a running server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from structlog.typing import FilteringBoundLogger

from ferryman import __version__
from ferryman.auth.sources import Keys, KeySource, SharedSecrets, StaticKeys, StaticUsers
from ferryman.auth.third_party import ListedKeys, ThirdParty
from ferryman.auth.time_limited import password_for
from ferryman.config import Configuration, Severity, state_certificate, state_secret
from ferryman.config.certificates import Certificate, CertificateError, read_certificate
from ferryman.config.names import Resolve, resolve_name
from ferryman.config.state_file import StateFileError
from ferryman.config.values import Dtls, ThirdPartyKeys, Tls
from ferryman.datapath import _native
from ferryman.engine import settings as engine_settings
from ferryman.engine.alternate import Alternates
from ferryman.engine.five_tuple import Transport
from ferryman.engine.nonce import Nonces
from ferryman.engine.state import State
from ferryman.engine.ticket import KEY_LENGTH, Tickets
from ferryman.server import external_address
from ferryman.server import settings as server_settings
from ferryman.server.discovery import offer_discovery
from ferryman.server.external_address import ExternalAddressError, ExternalAddresses
from ferryman.server.ice_servers import ice_servers
from ferryman.server.journal_log import JournalLog
from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.server.own_addresses import interface_addresses, loopback_address, primary_address
from ferryman.server.pump import Pump
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.server.relay_ports import RelayPorts
from ferryman.server.rereading import Rereading
from ferryman.server.service import ListenError, Service, open_listeners
from ferryman.store.oauth_keys import OauthKeys, StoreError
from ferryman.tools.command_line import ServeFlags, command_line
from ferryman.wire.address import Address, Family
from ferryman.wire.registry import CHANNEL_NUMBERS_RFC5766

GREETING_LIFETIME = 24 * 3600
"""Seconds that the credential of the greeting is good for."""

TOKEN_DATABASE_SECONDS = 5.0
"""How often the database of keys is looked at."""

_WILDCARDS = (bytes(4), bytes(16))
_CANNOT_START = (
    CertificateError,
    ExternalAddressError,
    ListenError,
    StateFileError,
    StoreError,
)
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def main() -> None:
    """The `ferryman` program."""
    command_line(serve)()


def serve(
    configuration: Configuration,
    flags: ServeFlags,
    *,
    resolve: Resolve = resolve_name,
    external_seconds: float = external_address.SECONDS,
) -> int:
    """Run the server until a signal ends it; returns the exit status.

    `resolve` looks names up that are followed, every `external_seconds`.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until the service listens to signals there is nothing to close.
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    # A stream of its own: sys.stderr makes a system call of every line.
    stream = SteadyStream(os.fdopen(sys.stderr.fileno(), "w", closefd=False))
    level = _LEVELS[configuration.log_level.value]
    log = make_log(Format(configuration.log_format.value), level, stream)
    log.info("starting", version=__version__, realm=configuration.realm)
    _log_notices(configuration, log)
    _raise_open_files_limit()
    try:
        secrets = _secrets(configuration)
        settings = _server_settings(configuration)
        externals = ExternalAddresses(settings, resolve, log, external_seconds)
        asyncio.run(_run(configuration, secrets, flags, externals, log, JournalLog(log, stream)))
    except _CANNOT_START as error:
        log.error(str(error))
        return 1
    return 0


async def _run(
    configuration: Configuration,
    secrets: tuple[str, ...],
    flags: ServeFlags,
    externals: ExternalAddresses,
    log: FilteringBoundLogger,
    journal: JournalLog,
) -> None:
    datapath = _native.Datapath(
        fingerprint=configuration.fingerprint,
        mapped_address=configuration.mapped_address,
        source_connections=configuration.source_connections,
        total_connections=configuration.total_connections,
    )
    tls_name = _secure(datapath, configuration, log)
    settings = await externals.find()
    listeners = open_listeners(datapath, settings.listeners, log)
    addresses = RelayAddresses(settings)
    offer_discovery(datapath, settings, addresses, log)
    state = _state(configuration, settings)
    ports = RelayPorts(
        addresses,
        settings.minimum_port,
        settings.maximum_port,
        partial(_bind_relay, datapath),
        partial(_release_relay, datapath),
    )
    database = _token_database(configuration, log)
    pump = Pump(
        datapath,
        state,
        _keys(configuration, secrets, database),
        ports,
        journal,
        log,
    )
    refresh_own_addresses = _own_address_watch(state, lambda: externals.settings, log)

    def use(settings: server_settings.Settings) -> None:
        """What relayed addresses are known by has changed; open allocations keep theirs."""
        addresses.use(settings)
        ports.readvertise()
        offer_discovery(datapath, settings, addresses, log)
        refresh_own_addresses()

    externals.use = use
    service = Service(
        datapath,
        pump,
        refresh_own_addresses,
        lambda: _renew_certificate(datapath, configuration.tls, log),
        log,
        externals.watch,
        chores=_token_chores(database, log),
    )

    def ready() -> None:
        _settle_memory()
        log.info("ready", realm=configuration.realm, peer_policy=configuration.peer_policy.value)
        if flags.greeting:
            alternate = configuration.alternate_port if configuration.discovery else None
            greeted = tuple(one for one in listeners if one.address.port != alternate)
            _greet(configuration, secrets, addresses, greeted, tls_name)

    await service.run(ready)


def _secure(
    datapath: _native.Datapath, configuration: Configuration, log: FilteringBoundLogger
) -> str | None:
    """Show a certificate to whoever speaks TLS; returns a name of it that clients will take."""
    tls = configuration.tls
    if tls is None:
        return None
    if tls.is_own:
        state_certificate.read_or_make(configuration.state_dir)
    certificate = _use_certificate(datapath, tls, log)
    if tls.is_own:
        return None
    return next((name for name in certificate.names if not name.startswith("*")), None)


def _use_certificate(
    datapath: _native.Datapath, tls: Tls, log: FilteringBoundLogger
) -> Certificate:
    """Read the files and hand them down. Raises CertificateError; then all stays as it was."""
    certificate = read_certificate(tls)
    try:
        if tls.stream:
            datapath.use_certificate(
                certificate.chain,
                certificate.key.get_secret_value(),
                cipher_suites=tls.cipher_suites,
                groups=tls.groups,
                tls12=tls.tls12,
                client_roots=certificate.client_roots,
            )
    except ValueError as error:
        raise CertificateError("cert", f"{tls.certificate}: {error}") from None
    _serve_dtls(datapath, tls, certificate, log)
    log.info(
        "certificate in use",
        file=str(tls.certificate),
        names=",".join(certificate.names),
        expires=f"{certificate.expires:%Y-%m-%d}",
    )
    return certificate


def _serve_dtls(
    datapath: _native.Datapath, tls: Tls, certificate: Certificate, log: FilteringBoundLogger
) -> None:
    """Raises CertificateError where the operator asked for it and it is not to be had."""
    if tls.dtls is Dtls.OFF:
        return
    try:
        datapath.serve_dtls(
            certificate.chain,
            certificate.key.get_secret_value(),
            cipher_suites=tls.cipher_suites,
            groups=tls.groups,
            client_roots=certificate.client_roots,
        )
    except ValueError as error:
        if tls.dtls is Dtls.ASKED:
            raise CertificateError("dtls", f"DTLS cannot be spoken: {error}") from None
        log.warning("DTLS is not spoken", reason=str(error))


def _renew_certificate(
    datapath: _native.Datapath, tls: Tls | None, log: FilteringBoundLogger
) -> None:
    """SIGUSR2: those who connect from now on see what the files hold now, if it is good."""
    if tls is None:
        log.info("there is no certificate to renew: TLS is not spoken")
        return
    try:
        _use_certificate(datapath, tls, log)
    except CertificateError as error:
        log.error("the certificate is not renewed, the old one stays in use", reason=str(error))


def _bind_relay(datapath: _native.Datapath, transport: Transport, bound: Address) -> None:
    bind = datapath.bind_tcp_relay if transport is Transport.TCP else datapath.bind_relay
    bind(bound.ip, bound.port)


def _release_relay(datapath: _native.Datapath, transport: Transport, bound: Address) -> None:
    tcp = transport is Transport.TCP
    release = datapath.release_tcp_relay if tcp else datapath.release_relay
    release(bound.ip, bound.port)


def _log_notices(configuration: Configuration, log: FilteringBoundLogger) -> None:
    for notice in configuration.notices:
        say = log.warning if notice.severity is Severity.WARNING else log.info
        say(str(notice))


def _raise_open_files_limit() -> None:
    """Every allocation holds a socket: take as many as the system grants without asking."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settle_memory() -> None:
    """What stands now stays: the collector need not look at it again, and seldom at the rest,
    which lives and dies with its requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _secrets(configuration: Configuration) -> tuple[str, ...]:
    if configuration.secret_in_state_folder:
        return (state_secret.read_or_make(configuration.state_dir).get_secret_value(),)
    return tuple(secret.get_secret_value() for secret in configuration.auth_secrets)


def _all_names_are_known(configuration: Configuration) -> bool:
    """Whether every name can be looked up by its hash (RFC 8489 §14.4), so that clients may be
    told to send nothing else."""
    secrets = configuration.secret_in_state_folder or configuration.auth_secrets
    return not secrets and configuration.third_party is None


def _token_database(configuration: Configuration, log: FilteringBoundLogger) -> OauthKeys | None:
    """Keys of access tokens from a database that has been read once; raises StoreError."""
    third_party = configuration.third_party
    if third_party is None or third_party.database is None:
        return None
    database = OauthKeys(third_party.database)
    for problem in database.read():
        log.warning(problem)
    log.info("userdb is read", oauth_keys=len(database))
    return database


def _token_chores(
    database: OauthKeys | None, log: FilteringBoundLogger
) -> tuple[tuple[float, Callable[[], None]], ...]:
    if database is None:
        return ()
    return ((TOKEN_DATABASE_SECONDS, Rereading(database.read, StoreError, log)),)


def _keys(
    configuration: Configuration, secrets: tuple[str, ...], database: OauthKeys | None
) -> Keys:
    realm = configuration.realm
    users: dict[str, StaticKeys] = {}
    for user in configuration.users:
        if user.key is not None:
            users[user.name] = StaticKeys(user.key.get_secret_value())
        elif user.password is not None:
            password = user.password.get_secret_value()
            users[user.name] = StaticKeys.of(user.name, realm, password)
    sources: list[KeySource] = [StaticUsers(users, realm)]
    if configuration.third_party is not None:
        # First, for a kid may be somebody's name as well.
        sources.insert(0, _third_party(configuration.third_party, database))
    if secrets:
        sources.append(SharedSecrets(secrets, realm, configuration.rest_separator))
    return Keys(sources)


def _third_party(configured: ThirdPartyKeys, database: OauthKeys | None) -> ThirdParty:
    """The keys of the file come before those of the database."""
    listed = ListedKeys(configured.keys)
    known = (listed,) if database is None else (listed, database)
    return ThirdParty(known, configured.server_name)


def _state(configuration: Configuration, settings: server_settings.Settings) -> State:
    return State(
        settings=_engine_settings(configuration),
        peer_rules=configuration.peer_rules(_own_addresses(settings)),
        nonces=Nonces(
            os.urandom(32),
            configuration.nonce_lifetime,
            anonymous_usernames=_all_names_are_known(configuration),
        ),
        random_token=lambda: os.urandom(8),
        tickets=Tickets(os.urandom(KEY_LENGTH)),
        alternates=Alternates(
            configuration.alternates,
            frozenset(listener.address.port for listener in settings.listeners),
        ),
    )


def _engine_settings(configuration: Configuration) -> engine_settings.Settings:
    defaults = engine_settings.Settings(realm=configuration.realm)
    maximum = configuration.maximum_lifetime
    return engine_settings.Settings(
        realm=configuration.realm,
        authenticated=not configuration.no_auth,
        default_lifetime=min(defaults.default_lifetime, maximum),
        maximum_lifetime=maximum,
        permission_lifetime=configuration.permission_lifetime,
        channel_lifetime=configuration.channel_lifetime,
        channel_numbers=(
            CHANNEL_NUMBERS_RFC5766
            if configuration.rfc5766_channel_numbers
            else defaults.channel_numbers
        ),
        user_quota=configuration.user_quota,
        total_quota=configuration.total_quota,
        source_quota=configuration.source_quota,
        unauthorized_per_second=configuration.unauthorized_per_second,
        maximum_permissions=configuration.maximum_permissions,
        maximum_channels=configuration.maximum_channels,
        bytes_per_second=configuration.bytes_per_second,
        capacity=configuration.capacity,
        fingerprint=configuration.fingerprint,
        third_party=configuration.third_party.server_name if configuration.third_party else "",
        mobility=configuration.mobility,
        udp_relay=configuration.udp_relay,
        tcp_relay=configuration.tcp_relay,
        default_family=engine_settings.DefaultFamily(configuration.default_family.value),
    )


def _server_settings(configuration: Configuration) -> server_settings.Settings:
    ips = configuration.listening_ips or _every_address()
    transports = [Transport.UDP] * configuration.udp + [Transport.TCP] * configuration.tcp
    pairs = configuration.discovery_pairs() if configuration.discovery else ()
    ports = (configuration.listening_port, configuration.alternate_port)
    places = [Address(ip, ports[0]) for ip in ips]
    places += [Address(ip, ports[1]) for pair in pairs for ip in pair]
    plain = [
        server_settings.Listener(transport, place) for place in places for transport in transports
    ]
    return server_settings.Settings(
        listeners=(*plain, *_tls_listeners(configuration, ips)),
        relay_ips=configuration.relay_ips,
        external={
            pair.private: pair.public
            for pair in configuration.external_ips
            if pair.private is not None
        },
        external_by_default=tuple(
            pair.public for pair in configuration.external_ips if pair.private is None
        ),
        external_names=tuple(
            server_settings.ExternalName(pair.name, Family.of(pair.public), pair.private)
            for pair in configuration.external_ips
            if pair.name
        ),
        external_auto=configuration.external_auto,
        external_stun=configuration.external_stun,
        discovery_pairs=pairs,
        discovery_ports=ports,
        minimum_port=configuration.min_port,
        maximum_port=configuration.max_port,
    )


def _tls_listeners(
    configuration: Configuration, ips: tuple[bytes, ...]
) -> tuple[server_settings.Listener, ...]:
    """The port of TLS and DTLS itself. The listening port takes both as well, so that where they
    are the same there is no second listener."""
    tls = configuration.tls
    if tls is None or tls.port == 0:
        return ()
    is_second = tls.port != configuration.listening_port
    places = [Address(ip, tls.port) for ip in ips]
    listeners = []
    if tls.stream and (is_second or not configuration.tcp):
        listeners += [
            server_settings.Listener(Transport.TLS, place, configuration.tcp) for place in places
        ]
    if tls.dtls is not Dtls.OFF and is_second:
        listeners += [server_settings.Listener(Transport.DTLS, place) for place in places]
    return tuple(listeners)


def _every_address() -> tuple[bytes, ...]:
    """The wildcards of the families that this machine speaks."""
    has_ipv6 = any(len(ip) == 16 for ip in interface_addresses())
    return _WILDCARDS if has_ipv6 else _WILDCARDS[:1]


def _own_addresses(settings: server_settings.Settings) -> frozenset[bytes]:
    listening = {listener.address.ip for listener in settings.listeners} - set(_WILDCARDS)
    external = {*settings.external.values(), *settings.external_by_default}
    return interface_addresses() | listening | external | set(settings.relay_ips)


def _own_address_watch(
    state: State, settings: Callable[[], server_settings.Settings], log: FilteringBoundLogger
) -> Callable[[], None]:
    """A chore that keeps the peer rules true while the machine's addresses come and go. What open
    allocations are known by stays the server's own until they end."""

    def refresh() -> None:
        try:
            known = {to.ip for allocation in state.allocations for to in allocation.advertised}
            own = _own_addresses(settings()) | known
        except OSError:
            return  # no descriptor left to ask with: what was true ten seconds ago will do
        if own != state.peer_rules.own:
            state.peer_rules = state.peer_rules.with_own(own)
            log.info("this machine's addresses have changed", count=len(own))

    return refresh


def _greet(
    configuration: Configuration,
    secrets: tuple[str, ...],
    addresses: RelayAddresses,
    listeners: tuple[server_settings.Listener, ...],
    tls_name: str | None,
) -> None:
    """The iceServers JSON on stdout, ready to paste; the only place that shows a credential."""
    credential = None
    if secrets:
        username = f"{int(time.time()) + GREETING_LIFETIME}{configuration.rest_separator}ferryman"
        credential = (username, password_for(username, secrets[0]))
    host = addresses.advertised(_greeting_ip(listeners))
    with contextlib.suppress(OSError):  # nobody may be reading
        servers = ice_servers(host, listeners, credential, tls_name)
        print(json.dumps(servers, indent=2), flush=True)


def _greeting_ip(listeners: tuple[server_settings.Listener, ...]) -> bytes:
    for listener in listeners:
        if listener.address.ip not in _WILDCARDS:
            return listener.address.ip
    return (
        primary_address(Family.IPV4)
        or primary_address(Family.IPV6)
        or loopback_address(Family.IPV4)
    )
