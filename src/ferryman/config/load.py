"""From a turnserver.conf and flags to one `Configuration`, or to all problems at once."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ferryman.config import checks
from ferryman.config.check_discovery import check_discovery
from ferryman.config.chosen import Chosen, choose
from ferryman.config.configuration import Configuration
from ferryman.config.file_reader import read_file, report_unknown
from ferryman.config.front_ends import front_ends
from ferryman.config.given import Given
from ferryman.config.kinds import AUTO, OFF
from ferryman.config.log_output import log_output
from ferryman.config.names import Resolve, resolve_name
from ferryman.config.notices import Findings, sources, unheeded
from ferryman.config.problems import ConfigurationError
from ferryman.config.process import pid_file, run_as
from ferryman.config.state_secret import default_state_folder
from ferryman.config.table import BY_NAME
from ferryman.config.third_party import third_party
from ferryman.config.tls import choose_tls, is_wanted
from ferryman.config.values import (
    Binding,
    ExternalAddress,
    LogFormat,
    LogLevel,
)
from ferryman.engine.alternate import Alternate
from ferryman.engine.five_tuple import Transport
from ferryman.engine.peer_rules import PeerPolicy, PeerRule
from ferryman.engine.settings import DefaultFamily
from ferryman.wire.address import Address

_WILDCARDS = (bytes(4), bytes(16))


def load(
    path: Path | None,
    flags: Sequence[tuple[str, str | None]],
    *,
    resolve: Resolve = resolve_name,
    again: bool = False,
) -> Configuration:
    """Read a file (None: embedded defaults) and flags, which win over it key by key. `again`: for
    a server that runs, so that a file that is being written is waited for.

    Raises ConfigurationError with one line for every problem of both. Reads the environment for
    the state folder and the files of a certificate, asks the system for host names; writes nothing.
    """
    findings = Findings()
    from_file = read_file(path, findings, again=again) if path is not None else []
    chosen = choose(from_file, _known(flags, findings), findings, resolve)
    findings.notices += unheeded(chosen.entries)
    configuration = _configured(path, chosen, findings)
    checks.check_peers(configuration, findings)
    checks.check_realm(configuration, chosen.where("realm"), findings)
    check_discovery(configuration, chosen, findings)
    if findings.problems:
        raise ConfigurationError(findings.problems)
    return configuration.model_copy(update={"notices": tuple(findings.notices)})


def _known(flags: Sequence[tuple[str, str | None]], findings: Findings) -> list[Given]:
    given = [Given(key, text) for key, text in flags]
    for one in given:
        if one.key not in BY_NAME:
            report_unknown(one, findings)
    return [one for one in given if one.key in BY_NAME]


def _configured(path: Path | None, chosen: Chosen, findings: Findings) -> Configuration:
    checks.check_ports(chosen, findings)
    checks.check_listeners(chosen, findings, has_tls=is_wanted(chosen, has_file=path is not None))
    checks.check_bandwidth(chosen, findings)
    checks.check_credentials(chosen, findings, has_file=path is not None)
    no_auth = chosen.one("no-auth", bool)
    users, secrets = checks.users(chosen, findings), checks.secrets_in_force(chosen)
    realm = _realm(chosen, findings)
    tokens = third_party(chosen, realm, findings)
    return Configuration(
        file=path,
        state_dir=_state_folder(chosen),
        listening_port=chosen.one("listening-port", int),
        listening_ips=_all_addresses(chosen, "listening-ip"),
        more_listeners=_more_listeners(chosen),
        listening_device=chosen.maybe("listening-device", str) or "",
        socket_buffer=chosen.one("sock-buf-size", int),
        alternate_port=chosen.one("alt-listening-port", int)
        or chosen.one("listening-port", int) + 1,
        discovery=chosen.one("rfc5780", bool),
        udp=not chosen.one("no-udp", bool),
        tcp=not chosen.one("no-tcp", bool),
        proxy_port=chosen.one("tcp-proxy-port", int),
        proxy_fronts=front_ends(chosen, findings),
        tls=choose_tls(chosen, findings, _state_folder(chosen), has_file=path is not None),
        relay_ips=_relay_ips(chosen),
        relay_device=chosen.maybe("relay-device", str) or "",
        external_ips=_external_ips(chosen, findings),
        external_auto=_is_automatic(chosen),
        external_stun=_stun_server(chosen),
        min_port=chosen.one("min-port", int),
        max_port=chosen.one("max-port", int),
        default_family=_default_family(chosen),
        workers=chosen.one("relay-threads", int) or chosen.one("cpus", int),
        offload=_offload(chosen, findings),
        offload_mode=chosen.one("xdp-mode", str),
        udp_relay=not chosen.one("no-udp-relay", bool),
        tcp_relay=not chosen.one("no-tcp-relay", bool),
        realm=realm,
        no_auth=no_auth,
        users=users,
        auth_secrets=secrets,
        third_party=tokens,
        rest_separator=chosen.one("rest-api-separator", str),
        secret_in_state_folder=not (path or no_auth or users or secrets or tokens),
        nonce_lifetime=chosen.one("stale-nonce", int),
        nonce_secret=checks.nonce_secret(chosen, findings),
        peer_policy=_peer_policy(path, chosen),
        allowed_peers=_rules(chosen, "allowed-peer-ip"),
        denied_peers=_rules(chosen, "denied-peer-ip"),
        allow_loopback_peers=chosen.one("allow-loopback-peers", bool),
        no_multicast_peers=chosen.one("no-multicast-peers", bool),
        user_quota=chosen.one("user-quota", int),
        total_quota=chosen.one("total-quota", int),
        source_quota=chosen.one("source-quota", int),
        unauthorized_per_second=_unauthorized_per_second(chosen),
        source_connections=chosen.one("source-connections", int),
        total_connections=chosen.one("total-connections", int),
        maximum_permissions=chosen.one("max-permissions", int),
        maximum_channels=chosen.one("max-channels", int),
        bytes_per_second=chosen.one("max-bps", int),
        capacity=chosen.one("bps-capacity", int),
        maximum_lifetime=chosen.one("max-allocate-lifetime", int),
        permission_lifetime=chosen.one("permission-lifetime", int),
        channel_lifetime=chosen.one("channel-lifetime", int),
        drain_seconds=chosen.one("drain-timeout", int),
        drain_allocations=chosen.one("drain-min-allocations", int),
        alternates=_alternates(chosen),
        fingerprint=chosen.one("fingerprint", bool),
        mapped_address=chosen.one("stun-backward-compatibility", bool),
        rfc5766_channel_numbers=chosen.one("rfc5766-channel-numbers", bool),
        mobility=chosen.one("mobility", bool),
        stun_only=chosen.one("stun-only", bool),
        binding=_binding(chosen),
        software=chosen.one("software-attribute", bool),
        origin_consistency=chosen.one("check-origin-consistency", bool),
        respond_http_unsupported=chosen.one("respond-http-unsupported", bool),
        acme_redirect=chosen.maybe("acme-redirect", str) or "",
        rfc3489=chosen.one("rfc3489-compatibility", bool),
        log_binding=chosen.one("log-binding", bool),
        log_invalid=chosen.one("drop-invalid-packets-log", bool),
        log_level=_log_level(chosen),
        log_format=LogFormat(chosen.one("log-format", str)),
        log_output=log_output(chosen, findings),
        daemon=chosen.one("daemon", bool),
        pid_file=pid_file(chosen),
        run_as=run_as(chosen),
        notices=(),
    )


def _state_folder(chosen: Chosen) -> Path:
    given = chosen.maybe("state-dir", str)
    return Path(given) if given else default_state_folder(os.environ)


def _all_addresses(chosen: Chosen, name: str) -> tuple[bytes, ...]:
    every = (ip for _, found in chosen.every(name, tuple) for ip in found)
    return tuple(dict.fromkeys(every))


def _more_listeners(chosen: Chosen) -> tuple[Address, ...]:
    every = (place for _, found in chosen.every("aux-server", tuple) for place in found)
    return tuple(dict.fromkeys(every))


def _relay_ips(chosen: Chosen) -> tuple[bytes, ...]:
    """A wildcard is no address that a peer could send to: it means that none was chosen."""
    return tuple(ip for ip in _all_addresses(chosen, "relay-ip") if ip not in _WILDCARDS)


def _external_ips(chosen: Chosen, findings: Findings) -> tuple[ExternalAddress, ...]:
    external: list[tuple[Given, ExternalAddress]] = [
        (given, mapping) for given, found in chosen.every("external-ip", tuple) for mapping in found
    ]
    checks.check_external(chosen, external, _relay_ips(chosen), findings)
    checks.check_automatic(chosen, external, findings, automatic=_is_automatic(chosen))
    return tuple(dict.fromkeys(mapping for _, mapping in external))


def _is_automatic(chosen: Chosen) -> bool:
    return any(given.text == AUTO for given, _ in chosen.every("external-ip", tuple))


def _stun_server(chosen: Chosen) -> tuple[str, int] | None:
    return chosen.maybe("external-ip-stun", tuple)


def _default_family(chosen: Chosen) -> DefaultFamily:
    """Where both keys are given, the newer one counts."""
    newer = "allocation-default-address-family"
    if not chosen.is_given(newer) and chosen.one("keep-address-family", bool):
        return DefaultFamily.KEEP
    return DefaultFamily(chosen.one(newer, str))


def _offload(chosen: Chosen, findings: Findings) -> tuple[str, ...]:
    """A word stands alone."""
    every = dict.fromkeys(text for _, text in chosen.every("xdp", str))
    for word in (AUTO, OFF):
        if word in every and len(every) > 1:
            text = f"expected {word} alone, or names of interfaces"
            findings.problem(text, chosen.where("xdp"), key="xdp")
    return tuple(name for name in every if name != OFF)


def _realm(chosen: Chosen, findings: Findings) -> str:
    given = chosen.maybe("realm", str)
    if given is not None:
        return checks.prepared(given, "realm", chosen.where("realm"), findings)
    realm = socket.gethostname().partition(".")[2][:127] or "ferryman"
    if chosen.is_given("user") or chosen.is_given("lt-cred-mech"):
        findings.note("realm", f"not given, taken to be {realm}")
    return realm


def _unauthorized_per_second(chosen: Chosen) -> int:
    """0: no limit."""
    limited = chosen.one("unauthorized-ratelimit", bool)
    return chosen.one("unauthorized-ratelimit-rps", int) if limited else 0


def _alternates(chosen: Chosen) -> dict[Transport, tuple[Alternate, ...]]:
    """Where the clients of each transport are sent; a list of its own wins over the general one."""

    def listed(name: str) -> tuple[Alternate, ...]:
        return tuple(one for _, found in chosen.every(name, tuple) for one in found)

    general, encrypted = listed("alternate-server"), listed("tls-alternate-server")
    return {
        Transport.UDP: listed("udp-alternate-server") or general,
        Transport.TCP: listed("tcp-alternate-server") or general,
        Transport.TLS: encrypted,
        Transport.DTLS: encrypted,
    }


def _binding(chosen: Chosen) -> Binding:
    if chosen.one("no-stun", bool):
        return Binding.NOBODY
    return Binding.PROVED if chosen.one("secure-stun", bool) else Binding.EVERYONE


def _peer_policy(path: Path | None, chosen: Chosen) -> PeerPolicy:
    """A file was written for coturn's policy; without one the safe policy holds."""
    given = chosen.maybe("peer-policy", str)
    if given is not None:
        return PeerPolicy(given)
    return PeerPolicy.PUBLIC if path is None else PeerPolicy.COTURN


def _rules(chosen: Chosen, name: str) -> tuple[PeerRule, ...]:
    """Rules with the text that the log shows: what was written, and where."""
    rules: list[PeerRule] = []
    for given, found in chosen.every(name, tuple):
        text = f"{name}={given.text} ({sources([given])})"
        rules += [replace(rule, text=text) for rule in found]
    return tuple(rules)


def _log_level(chosen: Chosen) -> LogLevel:
    given = chosen.maybe("log-min-level", str)
    if given is not None:
        return LogLevel(given)
    verbose = chosen.one("verbose", bool) or chosen.one("Verbose", bool)
    return LogLevel.DEBUG if verbose else LogLevel.INFO
