"""What `ferryman check-config` prints: what a start would say, then what it would start.

Never a secret: users and secrets are counted, not named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ferryman.config import Configuration, ConfigurationError, load
from ferryman.config.values import ExternalAddress, Tls
from ferryman.wire.address import Address


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
    yield "listeners", ", ".join(_listeners(configuration))
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
    names = [name for name, on in (("UDP", configuration.udp), ("TCP", configuration.tcp)) if on]
    port = configuration.listening_port
    where = [str(Address(ip, port)) for ip in configuration.listening_ips] or [
        f"all addresses, port {port}"
    ]
    return (f"{'/'.join(names)} {place}" for place in where)


def _tls(tls: Tls | None) -> str:
    if tls is None:
        return "no"
    port = f", port {tls.port} as well" if tls.port else ""
    versions = "1.2 and 1.3" if tls.tls12 else "1.3"
    return f"{versions}, certificate {tls.certificate}{port}"


def _credentials(configuration: Configuration) -> str:
    if configuration.no_auth:
        return "anyone (no-auth)"
    users, secrets = len(configuration.users), len(configuration.auth_secrets)
    return (
        f"{users} user{'' if users == 1 else 's'}, "
        f"{secrets} secret{'' if secrets == 1 else 's'} for time-limited credentials"
    )


def _external(pair: ExternalAddress) -> str:
    private = f"/{_host(pair.private)}" if pair.private is not None else ""
    return _host(pair.public) + private


def _automatic(server: tuple[str, int] | None) -> str:
    return f"what {server[0]}:{server[1]} says" if server else "the interface's public address"


def _host(ip: bytes) -> str:
    return Address(ip, 0).host
