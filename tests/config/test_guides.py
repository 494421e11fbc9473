"""Every configuration of the guides starts, and says what it does not get."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from ferryman.config import Configuration, Severity
from ferryman.engine.peer_rules import PeerPolicy
from ferryman.engine.settings import DefaultFamily
from tests.certificates import make_pair
from tests.config.reading import Reading

Guide = Callable[[str], str]

GUIDES = Path(__file__).parent / "guides"
WHOLE = ["hubs", "long-term", "rest", "production", "rest-realm", "meetings", "talk"]
WITHOUT_CERTIFICATE = ["basic", "port-443"]
"""Parts that name a port for TLS; another part of their guide has the certificate."""
FRAGMENTS = sorted({path.stem for path in GUIDES.glob("*.conf")} - {*WHOLE, *WITHOUT_CERTIFICATE})


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Guide:
    """Reads a guide's file, with a certificate of ours where it names one."""
    pair = make_pair(tmp_path_factory.mktemp("pair"))

    def read(name: str) -> str:
        found = (GUIDES / f"{name}.conf").read_text(encoding="utf-8")
        for key, path in (("cert", pair.certificate), ("pkey", pair.key)):
            found = re.sub(rf"^{key}=.*$", f"{key}={path}", found, flags=re.MULTILINE)
        return found

    return read


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_configuration_of_a_guide_starts_as_it_is(
    reading: Reading, guide: Guide, name: str
) -> None:
    configuration = reading.file(guide(name))
    assert configuration.peer_policy is PeerPolicy.COTURN
    assert configuration.users or configuration.auth_secrets


@pytest.mark.parametrize("name", FRAGMENTS)
def test_a_part_of_a_configuration_lacks_credentials_and_nothing_else(
    reading: Reading, guide: Guide, name: str
) -> None:
    said = reading.notices(reading.file(guide(name)))
    assert [line[:25] for line in said if "credentials" in line] == ["warning: no credentials: "]
    assert reading.file(guide(name), ("user", "someone:anything")).users


@pytest.mark.parametrize("name", WITHOUT_CERTIFICATE)
def test_a_part_with_a_port_for_tls_says_that_the_certificate_is_missing(
    reading: Reading, guide: Guide, name: str
) -> None:
    user = ("user", "someone:anything")
    configuration = reading.file(guide(name), user)
    assert configuration.tls is None
    assert "tls-listening-port" in keys_warned_of(configuration)
    assert reading.file(guide(name) + guide("tls"), user).tls


def keys_warned_of(configuration: Configuration) -> set[str]:
    """Keys that ask for something and get something else; not those of whom and what is let in."""
    return {
        key
        for notice in configuration.notices
        if notice.severity is Severity.WARNING
        for key in notice.key.split(", ")
    } - {"peer-policy", "user"}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("hubs", set()),
        ("tls", set()),
        ("hardening", set()),
        ("production", set()),
        ("threads", set()),
        ("bandwidth", set()),
        ("alternates", set()),
        ("meetings", set()),
        ("talk", set()),
        ("quiet-log", set()),
        ("internal-network", set()),
    ],
)  # fmt: skip
def test_what_is_not_built_yet_is_named(
    reading: Reading, guide: Guide, name: str, keys: set[str]
) -> None:
    configuration = reading.file(guide(name), ("user", "someone:anything"))
    assert keys_warned_of(configuration) == keys


def test_the_keys_of_one_missing_thing_share_one_line(reading: Reading) -> None:
    configuration = reading.lines("prometheus", "prometheus-port=9641")
    said = [line for line in reading.notices(configuration) if "prometheus" in line]
    assert len(said) == 1, said
    assert "prometheus, prometheus-port: not built yet" in said[0]


def packed(*hosts: str) -> tuple[bytes, ...]:
    return tuple(ip_address(host).packed for host in hosts)


def test_the_meetings_guide_gets_what_it_asks_for(reading: Reading, guide: Guide) -> None:
    configuration = reading.file(guide("meetings"))
    assert configuration.listening_ips == configuration.relay_ips == packed("192.0.2.10")
    assert (configuration.min_port, configuration.max_port) == (32769, 65535)
    assert configuration.fingerprint
    assert configuration.default_family is DefaultFamily.KEEP
    assert len(configuration.denied_peers) == 18
    rules = configuration.peer_rules(frozenset())
    refused = ("10.1.1.1", "2002::1", "fe80::1", "198.51.100.7", "::ffff:8.8.8.8", "ff02::1")
    assert [ip for ip in packed(*refused) if rules.refusal(ip) is None] == []
    assert rules.refusal(*packed("8.8.8.8")) is None
    assert rules.open_private_ranges() == ()
    assert configuration.tls is not None
    assert configuration.tls.port == 443
    assert len(configuration.tls.cipher_suites) == 9
    said = reading.notices(configuration)
    assert any(line.endswith("left out: DHE-RSA-AES128-GCM-SHA256, DHE-RSA-AES256-GCM-SHA384")
               for line in said)  # fmt: skip


def test_the_talk_guide_gets_what_it_asks_for_with_comments_behind_switches(
    reading: Reading, guide: Guide
) -> None:
    configuration = reading.file(guide("talk"))
    assert configuration.listening_port == 443
    assert configuration.nonce_lifetime == 600
    assert configuration.total_quota == 0
    assert configuration.no_multicast_peers
    assert configuration.realm == "your.domain.org"


def test_one_host_of_a_denied_network_stays_open(reading: Reading, guide: Guide) -> None:
    configuration = reading.file(guide("internal-network"), ("user", "someone:anything"))
    rules = configuration.peer_rules(frozenset())
    assert rules.refusal(*packed("10.0.0.77")) is None
    refusal = rules.refusal(*packed("10.0.0.78"))
    assert refusal is not None
    assert refusal.startswith("denied-peer-ip=10.0.0.0-10.255.255.255 (")
    assert refusal.endswith("turnserver.conf:3)")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("external-ip=<YOUR-PUBLIC-IP>", "external-ip"),
        ("external-ip=YOUR_PUBLIC_IP", "external-ip"),
        ("external-ip=PUBLIC_IP/PRIVATE_IP", "external-ip"),
        ("listening-ip=<IP>", "listening-ip"),
        ("listening-port=<yourChosenPortNumber>", "listening-port"),
        ("realm=<example.com>", "realm"),
        ("static-auth-secret=<yourChosen/GeneratedSecret>", "static-auth-secret"),
        ("allowed-peer-ip={IP_ADDRESS_OF_THE_HIGH_PERFORMANCE_BACKEND}", "allowed-peer-ip"),
    ],
)
def test_a_placeholder_that_was_left_in_is_a_bad_value(
    reading: Reading, line: str, key: str
) -> None:
    problems = reading.problems(f"user=a:b\n{line}\n")
    assert len(problems) == 1
    assert problems[0].startswith(f"turnserver.conf:2: {key}: expected")
