"""What `ferryman check-config` prints: what a start would say, then what it would start.

Never a secret: users and secrets are counted, not named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ferryman.config import Configuration, ConfigurationError, load
from ferryman.config.listening import listeners
from ferryman.config.values import Dtls, ExternalAddress, Tls
from ferryman.wire.address import Address

_EVERYWHERE = bytes(4)


def check(path: Path) -> int:
    """Print all problems (exit status 1), or all notices and a summary (0)."""
    try:
        configuration = load(path, [])
    except ConfigurationError as error:
        report(error)
        return 1
    for notice in configuration.notices:
        click.echo(f"{notice.severity.value}: {notice}")
    for name, text in _summary(configuration):
        click.echo(f"{name + ':':<15}{text}")
    return 0


def report(error: ConfigurationError) -> None:
    """One line on stderr for each problem, and how many there are."""
    for problem in error.problems:
        click.echo(f"error: {problem}", err=True)
    count = len(error.problems)
    click.echo(f"{count} problem{'s' if count > 1 else ''}, the server does not start", err=True)


def _summary(configuration: Configuration) -> Iterator[tuple[str, str]]:
    yield "listeners", ", ".join(_listeners(configuration)) or "none"
    relay = ", ".join(_host(ip) for ip in configuration.relay_ips)
    ports = f"ports {configuration.min_port}-{configuration.max_port}"
    yield "TLS", _tls(configuration.tls)
    yield "relay", f"{relay or 'the address that the client speaks to'}, {ports}"
    external = [_external(pair) for pair in configuration.external_ips]
    if configuration.external_auto:
        external.append(_automatic(configuration.external_stun))
    if external:
        yield "external", ", ".join(external)
    yield "realm", configuration.realm
    yield "who may relay", _credentials(configuration)
    rules = len(configuration.allowed_peers), len(configuration.denied_peers)
    yield "peer policy", f"{configuration.peer_policy.value}, {rules[0]} allowed, {rules[1]} denied"


def _listeners(configuration: Configuration) -> Iterator[str]:
    spoken: dict[Address, list[str]] = {}
    for listener in listeners(configuration, configuration.listening_ips or (_EVERYWHERE,)):
        spoken.setdefault(listener.address, []).append(listener.transport.name)
    return (f"{'/'.join(names)} {_place(address)}" for address, names in spoken.items())


def _place(address: Address) -> str:
    return str(address) if any(address.ip) else f"all addresses port {address.port}"


def _tls(tls: Tls | None) -> str:
    if tls is None:
        return "no"
    versions = []
    if tls.stream:
        versions.append("TLS 1.2 and 1.3" if tls.tls12 else "TLS 1.3")
    if tls.dtls is not Dtls.OFF:
        versions.append("DTLS 1.2 (with NSS 1.3 too)" if tls.dtls12 else "DTLS 1.3 (with NSS)")
    return f"{', '.join(versions)}, certificate {tls.certificate}" if versions else "no"


def _credentials(configuration: Configuration) -> str:
    if configuration.no_auth:
        return "anyone (no-auth)"
    users, secrets = len(configuration.users), len(configuration.auth_secrets)
    text = f"{_count(users, 'user')}, {_count(secrets, 'secret')} for time-limited credentials"
    tokens = configuration.third_party
    if tokens is None:
        return text
    further = f" and those in {tokens.database}" if tokens.database else ""
    return f"{text}, {_count(len(tokens.keys), 'key')}{further} for access tokens"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _external(pair: ExternalAddress) -> str:
    private = f"/{_host(pair.private)}" if pair.private is not None else ""
    return _host(pair.public) + private


def _automatic(server: tuple[str, int] | None) -> str:
    return f"what {server[0]}:{server[1]} says" if server else "the interface's public address"


def _host(ip: bytes) -> str:
    return Address(ip, 0).host
