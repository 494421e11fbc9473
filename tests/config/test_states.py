"""Each row of the option table does what its state says."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import SecretStr

from ferryman.config import Configuration, ExternalAddress, LogFormat, LogLevel, Severity
from ferryman.config.kinds import Kind
from ferryman.config.option import ALREADY, Option, State
from ferryman.config.table import BY_NAME, OPTIONS
from ferryman.config.values import Binding
from ferryman.engine.peer_rules import PeerPolicy, PeerRule
from ferryman.engine.settings import DefaultFamily
from ferryman.wire.address import Address
from tests.config.reading import Reading

ALICE = ("user", "alice:wonderland")


def ip(text: str) -> bytes:
    return ip_address(text).packed


# key, text, attribute of the configuration, its value without the key, its value with it
HONOURED: list[tuple[str, str | None, str, object, object]] = [
    ("listening-port", "3479", "listening_port", 3478, 3479),
    ("listening-ip", "192.0.2.1", "listening_ips", (), (ip("192.0.2.1"),)),
    ("alt-listening-port", "4000", "alternate_port", 3479, 4000),
    ("aux-server", "[2001:db8::1]:99", "more_listeners", (), (Address.of("2001:db8::1", 99),)),
    ("tcp-proxy-port", "5555", "proxy_port", 0, 5555),
    ("respond-http-unsupported", None, "respond_http_unsupported", False, True),
    ("acme-redirect", "http://a.test/b/", "acme_redirect", "", "http://a.test/b/"),
    ("no-udp", None, "udp", True, False),
    ("no-tcp", None, "tcp", True, False),
    ("xdp", "eth0", "offload", (), ("eth0",)),
    ("xdp-mode", "tc", "offload_mode", "auto", "tc"),
    ("no-udp-relay", None, "udp_relay", True, False),
    ("no-tcp-relay", None, "tcp_relay", True, False),
    ("relay-ip", "2001:db8::1", "relay_ips", (), (ip("2001:db8::1"),)),
    ("external-ip", "192.0.2.1", "external_ips", (), (ExternalAddress(ip("192.0.2.1"), None),)),
    ("external-ip-stun", "stun.example.com", "external_stun", None, ("stun.example.com", 3478)),
    ("listening-device", "lo", "listening_device", "", "lo"),
    ("relay-device", "lo", "relay_device", "", "lo"),
    ("sock-buf-size", "65536", "socket_buffer", 0, 65536),
    ("min-port", "50000", "min_port", 49152, 50000),
    ("max-port", "50000", "max_port", 65535, 50000),
    ("allocation-default-address-family", "ipv6", "default_family", DefaultFamily.IPV4,
     DefaultFamily.IPV6),
    ("keep-address-family", None, "default_family", DefaultFamily.IPV4, DefaultFamily.KEEP),
    ("realm", "example.com", "realm", None, "example.com"),
    ("rest-api-separator", "-", "rest_separator", ":", "-"),
    ("stale-nonce", "10", "nonce_lifetime", 600, 10),
    ("stateless-nonce-secret", "s" * 16, "nonce_secret", None, SecretStr("s" * 16)),
    ("peer-policy", "coturn", "peer_policy", PeerPolicy.PUBLIC, PeerPolicy.COTURN),
    ("allowed-peer-ip", "10.0.0.1", "allowed_peers", (), (
        PeerRule(ip("10.0.0.1"), ip("10.0.0.1"), "allowed-peer-ip=10.0.0.1 (command line)"),
    )),
    ("denied-peer-ip", "10.0.0.0/8", "denied_peers", (), (
        PeerRule(ip("10.0.0.0"), ip("10.255.255.255"), "denied-peer-ip=10.0.0.0/8 (command line)"),
    )),
    ("no-multicast-peers", None, "no_multicast_peers", False, True),
    ("allow-loopback-peers", None, "allow_loopback_peers", False, True),
    ("relay-threads", "2", "workers", 0, 2),
    ("cpus", "3", "workers", 0, 3),
    ("user-quota", "7", "user_quota", 0, 7),
    ("total-quota", "8", "total_quota", 0, 8),
    ("source-quota", "9", "source_quota", 0, 9),
    ("unauthorized-ratelimit", "no", "unauthorized_per_second", 100, 0),
    ("unauthorized-ratelimit-rps", "12", "unauthorized_per_second", 100, 12),
    ("drain-timeout", "30", "drain_seconds", 0, 30),
    ("drain-min-allocations", "2", "drain_allocations", 0, 2),
    ("source-connections", "10", "source_connections", 0, 10),
    ("total-connections", "11", "total_connections", 0, 11),
    ("max-permissions", "64", "maximum_permissions", 1024, 64),
    ("max-channels", "65", "maximum_channels", 1024, 65),
    ("max-bps", "200000", "bytes_per_second", 0, 200_000),
    ("bps-capacity", "3000000", "capacity", 0, 3_000_000),
    ("max-allocate-lifetime", "1800", "maximum_lifetime", 3600, 1800),
    ("permission-lifetime", "200", "permission_lifetime", 300, 200),
    ("channel-lifetime", "500", "channel_lifetime", 600, 500),
    ("fingerprint", None, "fingerprint", False, True),
    ("stun-backward-compatibility", None, "mapped_address", False, True),
    ("rfc5766-channel-numbers", None, "rfc5766_channel_numbers", False, True),
    ("mobility", None, "mobility", False, True),
    ("stun-only", None, "stun_only", False, True),
    ("no-stun", None, "binding", Binding.EVERYONE, Binding.NOBODY),
    ("secure-stun", None, "binding", Binding.EVERYONE, Binding.PROVED),
    ("software-attribute", None, "software", False, True),
    ("check-origin-consistency", None, "origin_consistency", False, True),
    ("rfc3489-compatibility", None, "rfc3489", False, True),
    ("log-binding", None, "log_binding", False, True),
    ("drop-invalid-packets-log", None, "log_invalid", False, True),
    ("verbose", None, "log_level", LogLevel.INFO, LogLevel.DEBUG),
    ("Verbose", None, "log_level", LogLevel.INFO, LogLevel.DEBUG),
    ("log-min-level", "error", "log_level", LogLevel.INFO, LogLevel.ERROR),
    ("log-format", "json", "log_format", LogFormat.TEXT, LogFormat.JSON),
    ("state-dir", "/var/lib/turn", "state_dir", None, Path("/var/lib/turn")),
]  # fmt: skip
# Their own tests are in test_credentials.py.
CREDENTIAL_KEYS = {"user", "static-auth-secret", "use-auth-secret", "lt-cred-mech", "no-auth"}
# Their own tests are in test_tls.py and test_ciphers.py.
TLS_KEYS = {"tls-listening-port", "cert", "pkey", "pkey-pwd", "cipher-list", "CA-file",
            "ec-curve-name", "no-tlsv1_2", "no-tls", "dtls", "no-dtls"}  # fmt: skip
# Their own tests are in test_process.py.
PROCESS_KEYS = {"daemon", "pidfile", "proc-user", "proc-group"}
# Their own tests are in test_log_output.py.
LOG_KEYS = {"log-file", "simple-log", "no-stdout-log", "syslog", "syslog-facility",
            "new-log-timestamp", "new-log-timestamp-format"}  # fmt: skip
# Their own tests are in test_third_party.py.
THIRD_PARTY_KEYS = {"oauth", "oauth-key", "server-name", "userdb", "db"}
# Its own tests are in test_discovery.py.
DISCOVERY_KEYS = {"rfc5780"}
# Their own tests are in test_alternates.py.
FRONT_KEYS = {"tcp-proxy-from"}  # test_front_ends.py
ALTERNATE_KEYS = {f"{kind}alternate-server" for kind in ("", "udp-", "tcp-", "tls-")}


def test_every_honoured_key_has_a_test() -> None:
    honoured = {option.name for option in OPTIONS if option.state is State.HONOURED}
    elsewhere = CREDENTIAL_KEYS | TLS_KEYS | THIRD_PARTY_KEYS | DISCOVERY_KEYS | ALTERNATE_KEYS
    elsewhere |= LOG_KEYS | PROCESS_KEYS | FRONT_KEYS
    assert {row[0] for row in HONOURED} | elsewhere == honoured


@pytest.mark.parametrize(("key", "text", "attribute", "without", "value"), HONOURED)
def test_an_honoured_key_changes_what_it_says(
    reading: Reading, key: str, text: str | None, attribute: str, without: object, value: object
) -> None:
    default = getattr(reading.flags(ALICE), attribute)
    assert default != value
    if without is not None:
        assert default == without
    assert getattr(reading.flags(ALICE, (key, text)), attribute) == value


@pytest.mark.parametrize(
    ("key", "attribute", "off"),
    [
        (row[0], row[2], row[4] if BY_NAME[row[0]].default == "yes" else row[3])
        for row in HONOURED
        if BY_NAME[row[0]].is_switch
    ],
)
def test_a_switch_that_is_switched_off_is_off(
    reading: Reading, key: str, attribute: str, off: object
) -> None:
    for text in ("0", "no", "off", "false", "n", "F"):
        assert getattr(reading.flags(ALICE, (key, text)), attribute) == off


def settings(configuration: Configuration) -> dict[str, object]:
    return configuration.model_dump(exclude={"notices"})


def example(kind: Kind) -> str:
    """A text that asks for something."""
    return {"yes|no": "yes", "PORT": "9999", "ADDRESS:PORT": "192.0.2.1:3478"}.get(kind.word, "77")


UNHEEDED = [option for option in OPTIONS if option.state is not State.HONOURED]


@pytest.mark.parametrize("option", UNHEEDED, ids=[option.name for option in UNHEEDED])
def test_a_key_that_is_not_acted_upon_says_so_in_one_line_and_changes_nothing(
    reading: Reading, option: Option
) -> None:
    plain, asking = (reading.flags(ALICE, ("realm", "r"), *more)
                     for more in ((), ((option.name, example(option.kind)),)))  # fmt: skip
    assert settings(asking) == settings(plain)
    assert len(asking.notices) == len(plain.notices) + 1
    notice = asking.notices[-1]
    assert notice.key == option.name
    assert option.reason in notice.text
    ignored = option.state is State.IGNORED
    assert notice.severity is (Severity.INFO if ignored else Severity.WARNING)
    assert notice.text.startswith("not built yet: ") is (option.state is State.NOT_BUILT)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("max-bps", "0"), ("bps-capacity", "0"), ("relay-threads", "0"), ("relay-threads", "1"),
        ("cpus", "1"), ("pidfile", ""), ("log-file", "stdout"), ("log-file", "-"),
        ("log-file", "stderr"), ("tls-listening-port", "0"), ("mobility", "no"), ("dtls", "off"),
        ("udp-recvmmsg", "0"), ("cert", ""),
    ],
)  # fmt: skip
def test_a_key_that_asks_for_nothing_is_met_with_silence(
    reading: Reading, key: str, text: str
) -> None:
    assert reading.flags(ALICE, ("realm", "r"), (key, text)).notices == ()


ALWAYS_SO = [option.name for option in UNHEEDED if option.reason == ALREADY]


@pytest.mark.parametrize("key", ALWAYS_SO)
def test_what_is_always_so_cannot_be_switched_off_in_silence(reading: Reading, key: str) -> None:
    (notice,) = reading.flags(ALICE, ("realm", "r"), (key, "no")).notices
    assert notice.severity is Severity.WARNING
    assert str(notice).endswith(f"{key}: it is always so and cannot be switched off")


@pytest.mark.parametrize("option", OPTIONS, ids=[option.name for option in OPTIONS])
def test_every_default_is_a_value_of_its_own_key(reading: Reading, option: Option) -> None:
    if option.default is not None:
        option.kind.read(option.default, reading.resolve)
    if option.kind.bare is not None:
        option.kind.read(option.kind.bare, reading.resolve)


def test_names_and_short_flags_are_there_once() -> None:
    shorts = [option.short for option in OPTIONS if option.short]
    assert len(shorts) == len(set(shorts))
    assert len(BY_NAME) == len(OPTIONS)


def test_keys_that_hold_secrets_are_marked() -> None:
    secret = {option.name for option in OPTIONS if option.secret}
    assert secret >= {
        "user", "static-auth-secret", "stateless-nonce-secret", "cli-password", "pkey-pwd",
        "psql-userdb", "sql-userdb", "mysql-userdb", "mongo-userdb", "redis-userdb",
        "redis-statsdb",
    }  # fmt: skip


COTURN = json.loads((Path(__file__).parents[2] / "vectors" / "coturn_options.json").read_text())


@pytest.mark.parametrize("name", [*COTURN["options"], *COTURN["removed"], *COTURN["never"]])
def test_every_name_of_coturns_is_known(name: str) -> None:
    assert name in BY_NAME


def test_names_that_never_were_say_which_one_is_meant(reading: Reading) -> None:
    configuration = reading.lines("listen-ip=192.0.2.1", "dtls-listening-port=1", "web-port=2")
    assert reading.notices(configuration)[:3] == [
        "warning: turnserver.conf:2: listen-ip: without effect: listening-ip is meant",
        "warning: turnserver.conf:3: dtls-listening-port: "
        "without effect: tls-listening-port is meant",
        "warning: turnserver.conf:4: web-port: without effect: web-admin-port is meant",
    ]
