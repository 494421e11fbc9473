"""Flags beside a file, host names, and what holds when nothing is given."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from ferryman.config import Configuration, ExternalAddress
from ferryman.config.names import resolve_name
from ferryman.engine.peer_rules import PeerPolicy
from tests.config.reading import Reading


def ip(text: str) -> bytes:
    return ip_address(text).packed


def test_a_flag_wins_over_the_file(reading: Reading) -> None:
    configuration = reading.file(
        "user=a:b\nlistening-port=1000\nfingerprint\nmin-port=50000\n",
        ("listening-port", "2000"),
        ("fingerprint", "no"),
    )
    assert configuration.listening_port == 2000
    assert not configuration.fingerprint
    assert configuration.min_port == 50000


def test_a_flag_replaces_all_values_of_a_key_that_repeats(reading: Reading) -> None:
    configuration = reading.file(
        "user=a:b\nuser=c:d\ndenied-peer-ip=10.0.0.0/8\n", ("user", "e:f"), ("user", "g:h")
    )
    assert [user.name for user in configuration.users] == ["e", "g"]
    assert len(configuration.denied_peers) == 1


def test_a_bad_value_that_a_flag_replaces_does_not_count(reading: Reading) -> None:
    assert reading.file("user=a:b\nlistening-port=x\n", ("listening-port", "1")).listening_port == 1


def test_without_anything_the_safe_defaults_hold(reading: Reading) -> None:
    configuration = reading.flags()
    assert configuration.peer_policy is PeerPolicy.PUBLIC
    assert configuration.secret_in_state_folder
    assert not configuration.no_auth
    assert configuration.listening_port == 3478
    assert configuration.listening_ips == configuration.relay_ips == ()
    assert configuration.udp
    assert configuration.tcp
    assert configuration.notices == ()


def test_a_file_brings_coturns_policy_with_what_is_open_and_what_is_not(reading: Reading) -> None:
    configuration = reading.lines("realm=r", "denied-peer-ip=10.0.0.0/8", "no-tls")
    assert configuration.peer_policy is PeerPolicy.COTURN
    line, own = reading.notices(configuration)
    assert own.startswith(
        "info: allowed-peer-ip: not given: unlike with coturn, clients reach nothing"
    )
    assert line == (
        "warning: peer-policy: coturn: clients reach private 172.16.0.0/12, "
        "private 192.168.0.0/16, shared 100.64.0.0/10 through this server; "
        "deny them with denied-peer-ip or set peer-policy=public"
    )


def test_whoever_names_a_peer_is_not_told_of_those_that_are_not_named(reading: Reading) -> None:
    denied = tuple(f"denied-peer-ip={net}" for net in ("10.0.0.0/8", "172.16.0.0/12"))
    more = ("denied-peer-ip=192.168.0.0/16", "denied-peer-ip=100.64.0.0/10")
    lines = ("realm=r", *denied, *more, "no-tls")
    (note,) = reading.notices(reading.lines(*lines))
    assert "a media server here has to be named" in note
    assert reading.lines(*lines, "allowed-peer-ip=192.0.2.1").notices == ()
    assert reading.lines(*lines, "stun-only").notices == ()


def test_a_file_may_ask_for_the_public_policy(reading: Reading) -> None:
    configuration = reading.lines("realm=r", "peer-policy=public", "no-tls")
    assert configuration.peer_policy is PeerPolicy.PUBLIC
    assert configuration.notices == ()


def addresses(configuration: Configuration) -> tuple[object, ...]:
    return (
        configuration.listening_ips,
        configuration.relay_ips,
        configuration.external_ips,
        tuple((rule.first, rule.last) for rule in configuration.allowed_peers),
    )


ALL = (ip("192.0.2.10"), ip("2001:db8::10"), ip("192.0.2.11"))


@pytest.mark.parametrize(
    ("line", "index", "expected"),
    [
        ("listening-ip=turn.example.com", 0, ALL),
        ("listening-ip=odd_name.example.com", 0, (ip("192.0.2.12"),)),
        ("relay-ip=turn.example.com", 1, ALL),
        ("relay-ip=0.0.0.0\nrelay-ip=::", 1, ()),
        ("relay-ip=0.0.0.0\nrelay-ip=192.0.2.1", 1, (ip("192.0.2.1"),)),
        ("listening-ip=0.0.0.0\nlistening-ip=::", 0, (ip("0.0.0.0"), ip("::"))),
        ("listening-ip=192.0.2.1\nlistening-ip=192.0.2.1", 0, (ip("192.0.2.1"),)),
        ("external-ip=four.example.com", 2, (
            ExternalAddress(ip("192.0.2.4"), None, "four.example.com"),
        )),
        ("external-ip=turn.example.com/10.0.0.5", 2,
         (ExternalAddress(ip("192.0.2.10"), ip("10.0.0.5"), "turn.example.com"),)),
        ("external-ip=four.example.com/inside.example.com", 2,
         (ExternalAddress(ip("192.0.2.4"), ip("10.0.0.5"), "four.example.com"),)),
        ("external-ip=192.0.2.1 / 10.0.0.5", 2,
         (ExternalAddress(ip("192.0.2.1"), ip("10.0.0.5")),)),
        ("external-ip=2001:db8::1/fd00::1", 2,
         (ExternalAddress(ip("2001:db8::1"), ip("fd00::1")),)),
        ("allowed-peer-ip=turn.example.com", 3, tuple((one, one) for one in ALL)),
        ("allowed-peer-ip=10.0.0.0/8", 3, ((ip("10.0.0.0"), ip("10.255.255.255")),)),
    ],
)  # fmt: skip
def test_addresses_come_as_literals_or_as_names(
    reading: Reading, line: str, index: int, expected: object
) -> None:
    assert addresses(reading.lines(*line.split("\n")))[index] == expected


def test_a_bare_external_name_counts_once_for_each_family(reading: Reading) -> None:
    found = reading.lines("external-ip=turn.example.com").external_ips
    assert set(found) == {
        ExternalAddress(ip("192.0.2.10"), None, "turn.example.com"),
        ExternalAddress(ip("2001:db8::10"), None, "turn.example.com"),
    }


def test_a_rule_remembers_the_line_that_it_stands_in(reading: Reading) -> None:
    (rule,) = reading.lines("denied-peer-ip four.example.com").denied_peers
    text = rule.text.replace(str(reading.path), reading.path.name)
    assert text == "denied-peer-ip=four.example.com (turnserver.conf:2)"


def test_the_newer_key_for_the_default_family_counts(reading: Reading) -> None:
    configuration = reading.lines("keep-address-family", "allocation-default-address-family=ipv6")
    assert configuration.default_family.value == "ipv6"


def test_a_level_counts_more_than_verbose(reading: Reading) -> None:
    assert reading.lines("verbose", "log-min-level=warning").log_level.value == "warning"


def test_the_realm_is_the_hosts_domain_unless_it_is_given(reading: Reading) -> None:
    configuration = reading.lines("fingerprint")
    domain = socket.gethostname().partition(".")[2] or "ferryman"
    assert configuration.realm == domain
    assert f"info: realm: not given, taken to be {domain}" in reading.notices(configuration)
    assert reading.lines("realm=given").realm == "given"


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a"}, "/var/lib/a"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/home/x"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/x"}, "/state/ferryman"),
        ({"XDG_STATE_HOME": "state", "HOME": "/home/x"}, "/home/x/.local/state/ferryman"),
        ({"HOME": "/home/x"}, "/home/x/.local/state/ferryman"),
        ({}, "/var/lib/ferryman"),
    ],
)
def test_the_state_folder_follows_the_environment(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], folder: str
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert reading.flags().state_dir == Path(folder)


def test_the_systems_own_names_resolve() -> None:
    assert ip("127.0.0.1") in resolve_name("localhost") or ip("::1") in resolve_name("localhost")


@pytest.mark.parametrize("name", ["a" * 300, "a..b", "\udc80", "\x00"])
def test_names_that_cannot_be_raise_only_oserror(name: str) -> None:
    with pytest.raises(OSError, match=r"."):
        resolve_name(name)
