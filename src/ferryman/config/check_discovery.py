"""Whether NAT behaviour discovery (RFC 5780) can be offered: it needs two IPs of one family and two
ports, and clients have to see the two IPs as two.
"""

from __future__ import annotations

from ipaddress import ip_address

from ferryman.config.chosen import Chosen
from ferryman.config.configuration import Configuration
from ferryman.config.notices import Findings

_KEY = "rfc5780"
_PORT = "alt-listening-port"


def check_discovery(configuration: Configuration, chosen: Chosen, findings: Findings) -> None:
    """One problem for each thing that is missing; silent about values already in doubt."""
    if findings.doubtful & {_KEY, _PORT, "listening-port", "listening-ip", "external-ip"}:
        return
    if configuration.discovery:
        _check_addresses(configuration, chosen, findings)
        _check_ports(configuration, chosen, findings)
    elif chosen.one(_PORT, int):
        findings.warn(_PORT, "no effect without rfc5780", chosen.where(_PORT))


def _check_addresses(configuration: Configuration, chosen: Chosen, findings: Findings) -> None:
    where = chosen.where(_KEY)
    pairs = configuration.discovery_pairs()
    if not any(any(ip) for ip in configuration.listening_ips):
        text = (
            "expected two listening-ip of one family; with all addresses none is told from another"
        )
        findings.problem(text, where, key=_KEY)
    elif not pairs:
        findings.problem("expected two listening-ip of one family, got one", where, key=_KEY)
    for one, other in pairs:
        public = _advertised(configuration, one)
        if public == _advertised(configuration, other):
            text = (
                f"both listening-ip are {ip_address(public)} outside: "
                "expected an external-ip PUBLIC/PRIVATE for each"
            )
            findings.problem(text, where, key=_KEY)
        if sum(len(ip) == len(one) for ip in configuration.listening_ips) > 2:
            text = f"{ip_address(one)} and {ip_address(other)} are its two addresses"
            findings.note(_KEY, text, where)


def _check_ports(configuration: Configuration, chosen: Chosen, findings: Findings) -> None:
    first, second = configuration.listening_port, configuration.alternate_port
    if first == 0 or first == second or second > 65535:
        where = chosen.where(_PORT) or chosen.where(_KEY)
        text = f"expected a second port from 1 to 65535 beside listening-port {first}"
        findings.problem(text, where, key=_PORT)


def _advertised(configuration: Configuration, ip: bytes) -> bytes:
    by_default = ip
    for pair in configuration.external_ips:
        if pair.private == ip:
            return pair.public
        if pair.private is None and len(pair.public) == len(ip) and not ip_address(ip).is_loopback:
            by_default = pair.public
    return by_default
