"""Mistakes: all at once, each with its place, its key and what was expected."""

from __future__ import annotations

import pytest

from tests.config.reading import Reading


def port(text: str) -> str:
    return f"expected a port from 0 to 65535, got {text!r}"


def whole(text: str, low: int = 0, high: int = 2**31 - 1) -> str:
    return f"expected a whole number from {low} to {high}, got {text!r}"


ADDRESS = "expected an IP address or a host name"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("listening-port=65536", port("65536")),
        ("listening-port=-1", port("-1")),
        ("listening-port=http", port("http")),
        ("listening-port=3_478", port("3_478")),
        ("listening-port=+3478", port("+3478")),
        ("listening-port=34 78", port("34 78")),
        ("listening-port=٣٤٧٨", port("٣٤٧٨")),
        ("listening-port=", port("")),
        ("listening-port", "expected a value: listening-port=PORT"),
        ("tls-listening-port=99999", port("99999")),
        ("xdp-mode=native", "expected auto or driver or tc or generic, got 'native'"),
        ("xdp=eth0/1", "expected auto, off or the name of an interface, got 'eth0/1'"),
        ("xdp=sixteen-letters-", "expected auto, off or the name of an interface, got "
                                 "'sixteen-letters-'"),
        ("acme-redirect=web.test/x/", "expected a URL that begins with http:// or https://, got "
                                      "'web.test/x/'"),
        ("acme-redirect=http://a b", "expected a URL that begins with http:// or https://, got "
                                     "'http://a b'"),
        ("min-port=0", "expected a port from 1 to 65535, got '0'"),
        ("total-quota=many", whole("many")),
        ("user-quota=2147483648", whole("2147483648")),
        ("unauthorized-ratelimit-rps=0", whole("0", 1, 1_000_000)),
        ("unauthorized-ratelimit-rps=ten", whole("ten", 1, 1_000_000)),
        ("relay-threads=129", whole("129", 0, 128)),
        ("cpus=all", whole("all", 0, 128)),
        ("max-permissions=0", whole("0", 1, 65536)),
        ("max-channels=16385", whole("16385", 1, 16384)),
        ("bps-capacity=10M", whole("10M", high=2**63 - 1)),
        ("max-bps=1.5", whole("1.5", high=2**63 - 1)),
        ("stale-nonce=600s", whole("600s", high=2**32 - 1)),
        ("channel-lifetime=0", whole("0", 1, 2**32 - 1)),
        ("peer-policy=open", "expected public or coturn, got 'open'"),
        ("log-format=xml", "expected text or json or coturn, got 'xml'"),
        ("log-min-level=trace", "expected debug or info or warning or error, got 'trace'"),
        ("allocation-default-address-family=IPv4", "expected ipv4 or ipv6 or keep, got 'IPv4'"),
        ("rest-api-separator=::", "expected one character, got '::'"),
        ("realm=", "expected 1 to 127 characters, got ''"),
        ("state-dir=", "expected a value, got ''"),
        ("listening-ip=1.2.3", f"{ADDRESS}, got '1.2.3'"),
        ("listening-ip=1.2.3.256", f"{ADDRESS}, got '1.2.3.256'"),
        ("listening-ip=0x7f000001", f"{ADDRESS}, got '0x7f000001'"),
        ("listening-ip=1.2.3.4:3478", f"{ADDRESS}, got '1.2.3.4:3478'"),
        ("listening-ip=10.0.0.0/8", f"{ADDRESS}, got '10.0.0.0/8'"),
        ("listening-ip=nowhere.example.com", f"{ADDRESS} that resolves, got 'nowhere.example.com'"),
        ("listening-ip=fe80::1%eth0", "expected an address without a zone, got 'fe80::1%eth0'"),
        ("external-ip=1.2.3.4/", f"{ADDRESS}, got '1.2.3.4/'"),
        ("external-ip=nowhere.example.com",
         f"{ADDRESS} that resolves, got 'nowhere.example.com'"),
        ("external-ip=auto/10.0.0.5", f"{ADDRESS} that resolves, got 'auto/10.0.0.5'"),
        ("external-ip-stun=stun.example.com:0",
         "expected HOST or HOST:PORT, got 'stun.example.com:0'"),
        ("external-ip-stun=stun.example.com:65536",
         "expected HOST or HOST:PORT, got 'stun.example.com:65536'"),
        ("external-ip-stun=2001:db8::1", "expected HOST or HOST:PORT, got '2001:db8::1'"),
        ("external-ip-stun=[1::2::3]",
         "expected an IPv6 address in the brackets, got '[1::2::3]'"),
        ("external-ip=1.2.3.4/::1",
         "expected PUBLIC/PRIVATE of one address family, got '1.2.3.4/::1'"),
        ("denied-peer-ip=nowhere.example.com",
         f"{ADDRESS} that resolves, got 'nowhere.example.com'"),
        ("denied-peer-ip=10.0.0.9-10.0.0.1",
         "expected the lower address of the range first, got '10.0.0.9-10.0.0.1'"),
        ("allowed-peer-ip=10.0.0.1/8",
         "expected 10.0.0.0/8, the network that 10.0.0.1 lies in, got '10.0.0.1/8'"),
        ("aux-server=a b", "expected ADDRESS:PORT, an IPv6 address in brackets, got 'a b'"),
        ("aux-server=192.0.2.1:0",
         "expected ADDRESS:PORT, an IPv6 address in brackets, got '192.0.2.1:0'"),
        ("aux-server=2001:db8::1:99",
         "expected ADDRESS:PORT, an IPv6 address in brackets, got '2001:db8::1:99'"),
        ("realm=a\x07b", "expected UTF-8 text without control characters, got 'a\\x07b'"),
        (f"realm={'x' * 200}", f"expected 1 to 127 characters, got '{'x' * 57}...'"),
    ],
)  # fmt: skip
def test_a_bad_value_names_place_key_and_what_was_expected(
    reading: Reading, line: str, complaint: str
) -> None:
    key = line.partition("=")[0]
    assert reading.problems(f"user=a:b\n{line}\n") == [f"turnserver.conf:2: {key}: {complaint}"]


def test_a_bad_flag_names_the_command_line(reading: Reading) -> None:
    assert reading.problems("user=a:b\n", ("listening-port", "x")) == [
        f"command line: listening-port: {port('x')}"
    ]


def test_bytes_that_are_no_text_name_their_line(reading: Reading) -> None:
    assert reading.problems(b"user=a:b\nrealm=caf\xe9\n") == [
        "turnserver.conf:2: expected UTF-8 text"
    ]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("listening-prot=3478", "listening-port"),
        ("--listening-port=3478", "listening-port"),
        ("LISTENING-PORT=3478", "listening-port"),
        ("listening_port=3478", "listening-port"),
        ("fingerprnt", "fingerprint"),
        ("listen-port=1", "listening-port"),
        ("denied-peer-ips=10.0.0.0/8", "denied-peer-ip"),
        ("external_ip=1.2.3.4", "external-ip"),
        ("ca-file=/etc/ca.pem", "CA-file"),
        ("static-auth-secrets=abc", "static-auth-secret"),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_right_name(
    reading: Reading, line: str, meant: str
) -> None:
    key = line.partition("=")[0]
    assert reading.problems(f"user=a:b\n{line}\n") == [
        f"turnserver.conf:2: unknown key {key}, did you mean {meant}?"
    ]


def test_an_unknown_key_that_is_near_nothing_stands_alone(reading: Reading) -> None:
    assert reading.problems("user=a:b\nquux=1\n") == ["turnserver.conf:2: unknown key quux"]
    assert reading.problems("user=a:b\n", ("quux", None)) == ["command line: unknown key quux"]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(reading: Reading) -> None:
    text = "listening-port=x\nfingerprnt\nmin-port=60000\nmax-port=50000\nverbose=maybe\n"
    lines = reading.problems(text, ("total-quota", "x"))
    assert [line.partition(": ")[0] for line in lines] == [
        "turnserver.conf:1",
        "turnserver.conf:2",
        "turnserver.conf:3,4",
        "turnserver.conf:5",
        "command line",
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["min-port=60000", "max-port=50000"],
         "turnserver.conf:2,3: min-port: expected min-port to be at most max-port, "
         "got 60000 and 50000"),
        (["max-port=1000"],
         "turnserver.conf:2: min-port: expected min-port to be at most max-port, "
         "got 49152 and 1000"),
        (["no-udp", "no-tcp"],
         "turnserver.conf:3: no-tcp: together with no-udp nothing is left to listen on"),
        (["no-udp-relay", "no-tcp-relay"],
         "turnserver.conf:2: no-udp-relay: together with no-tcp-relay nothing is left to relay"),
        (["external-ip=1.2.3.4", "external-ip=1.2.3.5"],
         "turnserver.conf:2,3: external-ip: expected one IPv4 address without /PRIVATE, got 2"),
        (["external-ip=1.2.3.4/10.0.0.1", "external-ip=1.2.3.5/10.0.0.1"],
         "turnserver.conf:2,3: external-ip: expected one IPv4 address for one private address, "
         "got 2"),
    ],
)  # fmt: skip
def test_keys_that_do_not_go_together_are_a_mistake(
    reading: Reading, lines: list[str], problem: str
) -> None:
    assert reading.problems("\n".join(["user=a:b", *lines])) == [problem]


@pytest.mark.parametrize(
    "lines",
    [
        ["min-port=50000", "max-port=50000"],
        ["no-udp", "no-tcp=no"],
        ["external-ip=1.2.3.4", "external-ip=2001:db8::1"],
        ["external-ip=1.2.3.4", "external-ip=1.2.3.5/10.0.0.1", "external-ip=1.2.3.6/10.0.0.2"],
    ],
)
def test_keys_that_go_together_are_none(reading: Reading, lines: list[str]) -> None:
    assert reading.problems("\n".join(["user=a:b", *lines])) == []


def test_a_bad_value_does_not_bring_the_checks_of_several_keys_with_it(reading: Reading) -> None:
    assert len(reading.problems("user=a\n")) == 1
    assert len(reading.problems("static-auth-secrt=abc\n")) == 1
    assert len(reading.problems("user=a:b\nmin-port=x\nmax-port=1\n")) == 1


def test_an_external_address_of_a_family_that_is_not_relayed_is_pointed_out(
    reading: Reading,
) -> None:
    configuration = reading.lines("relay-ip=10.0.0.1", "external-ip=2001:db8::1")
    assert (
        "warning: turnserver.conf:3: external-ip: no relay-ip is IPv6: it has no effect"
        in reading.notices(configuration)
    )
