"""Translates the configuration into the settings of each room. Reads no file and opens nothing."""

from __future__ import annotations

import os

from ferryman.app.nonces import new_nonces
from ferryman.app.own_addresses import WILDCARDS, own_addresses
from ferryman.config import Configuration
from ferryman.config.listening import listeners
from ferryman.engine import settings as engine_settings
from ferryman.engine.alternate import Alternates
from ferryman.engine.state import State
from ferryman.engine.ticket import KEY_LENGTH, Tickets
from ferryman.server import settings as server_settings
from ferryman.server.own_addresses import interface_addresses
from ferryman.wire.address import Family
from ferryman.wire.registry import CHANNEL_NUMBERS_RFC5766


def engine_state(configuration: Configuration, settings: server_settings.Settings) -> State:
    return State(
        settings=to_engine_settings(configuration),
        peer_rules=configuration.peer_rules(own_addresses(settings)),
        nonces=new_nonces(configuration),
        random_token=lambda: os.urandom(8),
        tickets=Tickets(os.urandom(KEY_LENGTH)),
        alternates=to_alternates(configuration, settings),
    )


def to_alternates(configuration: Configuration, settings: server_settings.Settings) -> Alternates:
    ports = frozenset(listener.address.port for listener in settings.listeners)
    return Alternates(configuration.alternates, ports)


def to_engine_settings(configuration: Configuration) -> engine_settings.Settings:
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
        stun_only=configuration.stun_only,
        software=configuration.software,
        origin_consistency=configuration.origin_consistency,
        udp_relay=configuration.udp_relay,
        tcp_relay=configuration.tcp_relay,
        default_family=engine_settings.DefaultFamily(configuration.default_family.value),
    )


def to_server_settings(configuration: Configuration) -> server_settings.Settings:
    ips = configuration.listening_ips or _every_address()
    pairs = configuration.discovery_pairs() if configuration.discovery else ()
    return server_settings.Settings(
        listeners=listeners(configuration, ips),
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
        discovery_ports=(configuration.listening_port, configuration.alternate_port),
        minimum_port=configuration.min_port,
        maximum_port=configuration.max_port,
    )


def _every_address() -> tuple[bytes, ...]:
    """The wildcards of the families that this machine speaks."""
    has_ipv6 = any(len(ip) == 16 for ip in interface_addresses())
    return WILDCARDS if has_ipv6 else WILDCARDS[:1]
