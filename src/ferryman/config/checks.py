"""Checks that need more than one key: ports, external addresses, credentials, peer rules.

Each is silent about keys whose own value is already in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pydantic import SecretStr

from ferryman.auth.opaque_string import NotOpaqueStringError, opaque_string
from ferryman.config.chosen import Chosen
from ferryman.config.configuration import Configuration
from ferryman.config.given import Given
from ferryman.config.notices import Findings
from ferryman.config.option import Section
from ferryman.config.table import in_section
from ferryman.config.values import ExternalAddress, StaticUser
from ferryman.engine.peer_rules import PeerPolicy
from ferryman.engine.strangers import AMPLIFICATION, SMALLEST_ALLOCATE, shortest_challenge

SHORTEST_SECRET = 16

_CREDENTIALS = ("user", "static-auth-secret", "use-auth-secret", "lt-cred-mech", "oauth")


def check_ports(chosen: Chosen, findings: Findings) -> None:
    if findings.doubtful & {"min-port", "max-port"}:
        return
    low, high = chosen.one("min-port", int), chosen.one("max-port", int)
    if low > high:
        findings.problem(
            f"expected min-port to be at most max-port, got {low} and {high}",
            chosen.where("min-port") + chosen.where("max-port"),
            key="min-port",
        )


def check_listeners(chosen: Chosen, findings: Findings, *, has_tls: bool) -> None:
    for one, other, end, left in (
        ("no-tcp", "no-udp", "listen on", has_tls),
        ("no-udp-relay", "no-tcp-relay", "relay", False),
        ("stun-only", "no-stun", "answer", False),
    ):
        if chosen.maybe(one, bool) and chosen.maybe(other, bool) and not left:
            text = f"together with {other} nothing is left to {end}"
            findings.problem(text, chosen.where(one), key=one)


def check_bandwidth(chosen: Chosen, findings: Findings) -> None:
    """A capacity is shared out in portions of max-bps."""
    if findings.doubtful & {"max-bps", "bps-capacity"}:
        return
    portion, capacity = chosen.one("max-bps", int), chosen.one("bps-capacity", int)
    if capacity and not portion:
        findings.warn(
            "bps-capacity", "without max-bps it has no effect", chosen.where("bps-capacity")
        )
    elif capacity and portion > capacity:
        text = f"less than max-bps={portion}: no client will get an allocation"
        findings.warn("bps-capacity", text, chosen.where("bps-capacity"))


def check_external(
    chosen: Chosen,
    external: Sequence[tuple[Given, ExternalAddress]],
    relay_ips: Sequence[bytes],
    findings: Findings,
) -> None:
    """At most one mapping of each family without a private part, and one for each address; the
    same twice is no harm."""
    key = "external-ip"
    for length, family in ((4, "IPv4"), (16, "IPv6")):
        of_family = [pair for pair in external if len(pair[1].public) == length]
        different = {(mapping.private, mapping.public) for _, mapping in of_family}
        counts = Counter(private for private, _ in different)
        for address, count in counts.items():
            if count > 1:
                given = [one for one, mapping in of_family if mapping.private == address]
                what = "without /PRIVATE" if address is None else "for one private address"
                findings.problem(
                    f"expected one {family} address {what}, got {count}", given, key=key
                )
        if relay_ips and of_family and not any(len(ip) == length for ip in relay_ips):
            findings.warn(key, f"no relay-ip is {family}: it has no effect", chosen.where(key))


def check_automatic(
    chosen: Chosen,
    external: Sequence[tuple[Given, ExternalAddress]],
    findings: Findings,
    *,
    automatic: bool,
) -> None:
    """`auto` stands for the address of all relay addresses that have none of their own."""
    for given, mapping in external if automatic else ():
        if mapping.private is None:
            text = "expected either auto or an address without /PRIVATE"
            return findings.problem(text, [given], key="external-ip")
    if chosen.is_given("external-ip-stun") and not automatic:
        findings.warn(
            "external-ip-stun",
            "without external-ip=auto it has no effect",
            chosen.where("external-ip-stun"),
        )
    return None


def check_credentials(chosen: Chosen, findings: Findings, *, has_file: bool) -> None:
    """A server is open to anyone only when `no-auth` says so, and never by accident."""
    if findings.doubtful & {*_CREDENTIALS, "no-auth"}:
        return
    if chosen.one("no-auth", bool):
        _check_no_auth(chosen, findings)
        return
    secrets = chosen.is_given("static-auth-secret")
    if chosen.one("use-auth-secret", bool) and not secrets and has_file:
        findings.problem(
            f"expected at least one static-auth-secret beside it{_not_in_a_database(chosen)}",
            chosen.where("use-auth-secret"),
            key="use-auth-secret",
        )
    elif secrets and not _secrets_in_force(chosen):
        findings.warn(
            "static-auth-secret",
            "not in force: use-auth-secret is off",
            chosen.where("use-auth-secret"),
        )
    if chosen.is_given("user") and _secrets_in_force(chosen):
        text = "in force as well: coturn passes users over beside use-auth-secret"
        findings.warn("user", text, chosen.where("user"))
    # Without a file the secret of the state folder steps in, unless secrets are switched off.
    named = has_file or (chosen.is_given("use-auth-secret") and not _secrets_in_force(chosen))
    known = chosen.is_given("user") or chosen.one("oauth", bool)
    if named and not known and not _secrets_in_force(chosen) and not chosen.one("stun-only", bool):
        text = "expected user, static-auth-secret, or no-auth to let anyone relay"
        if not has_file:
            findings.problem(f"no credentials: {text}")
        else:
            unread = "; users and secrets in coturn's database (turndb) are not read"
            findings.warn(
                "", f"no credentials: Binding is answered, nobody can relay; {text}{unread}"
            )


def _not_in_a_database(chosen: Chosen) -> str:
    """For whoever has them there, as with coturn."""
    names = (option.name for option in in_section(Section.DATABASES))
    named = [name for name in names if chosen.is_given(name)]
    return f"; none is read from {', '.join(named)}" if named else ""


def _secrets_in_force(chosen: Chosen) -> bool:
    """Secrets imply use-auth-secret, unless that is given and switched off."""
    if chosen.is_given("use-auth-secret"):
        return chosen.one("use-auth-secret", bool)
    return chosen.is_given("static-auth-secret")


def _check_no_auth(chosen: Chosen, findings: Findings) -> None:
    beside = [
        name
        for name in _CREDENTIALS
        if chosen.is_given(name) and chosen.maybe(name, object) is not False
    ]
    if beside:
        findings.problem(
            f"expected either no-auth or credentials, got {', '.join(beside)} as well",
            chosen.where("no-auth"),
            key="no-auth",
        )
    else:
        findings.warn("no-auth", "anyone may relay through this server", chosen.where("no-auth"))


def users(chosen: Chosen, findings: Findings) -> tuple[StaticUser, ...]:
    """Static users by name; of a name that is given twice the last one counts, as in coturn."""
    by_name: dict[str, list[tuple[Given, StaticUser]]] = {}
    for given, user in chosen.every("user", StaticUser):
        by_name.setdefault(user.name, []).append((given, user))
    for pairs in by_name.values():
        if len(pairs) > 1:
            where = [given for given, _ in pairs]
            findings.warn("user", "one name more than once, the last one counts", where)
    return tuple(_prepared(*pairs[-1], findings) for pairs in by_name.values())


def _prepared(given: Given, user: StaticUser, findings: Findings) -> StaticUser:
    """Name and password as clients of RFC 8489 prepare them (§9.2.2)."""
    name = prepared(user.name, "user", [given], findings)
    if user.password is None:
        return replace(user, name=name)
    password = prepared(user.password.get_secret_value(), "user", [given], findings)
    return replace(user, name=name, password=SecretStr(password))


def prepared(text: str, key: str, where: Sequence[Given], findings: Findings) -> str:
    """OpaqueString of a text (RFC 8265 §4.2); one that has none stays as it was written."""
    try:
        return opaque_string(text)
    except NotOpaqueStringError:
        what = "holds a character that OpaqueString (RFC 8265) forbids; taken as written"
        findings.warn(key, what, where)
        return text


def secrets_in_force(chosen: Chosen) -> tuple[SecretStr, ...]:
    """The REST secrets of file and flags, without repeats."""
    if not _secrets_in_force(chosen):
        return ()
    return tuple(
        dict.fromkeys(secret for _, secret in chosen.every("static-auth-secret", SecretStr))
    )


def nonce_secret(chosen: Chosen, findings: Findings) -> SecretStr | None:
    """A nonce shows whoever sees it enough to try short secrets on it."""
    secret = chosen.maybe("stateless-nonce-secret", SecretStr)
    if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET:
        text = f"fewer than {SHORTEST_SECRET} characters: strangers can find it out from a nonce"
        findings.warn("stateless-nonce-secret", text, chosen.where("stateless-nonce-secret"))
    return secret


def check_realm(configuration: Configuration, where: Sequence[Given], findings: Findings) -> None:
    """A realm has to fit into an answer of four times the smallest request over UDP."""
    if configuration.no_auth or not configuration.udp:
        return
    length = shortest_challenge(configuration.realm, fingerprint=configuration.fingerprint)
    if length > AMPLIFICATION * SMALLEST_ALLOCATE:
        findings.warn(
            "realm",
            f"so long that a 401 has {length} octets, over four times the smallest Allocate: over "
            "UDP most clients, browsers among them, will get no answer",
            where,
        )


def check_peers(configuration: Configuration, findings: Findings) -> None:
    """The one warning of the coturn policy: which private ranges stand open. And a line about what
    is closed that coturn leaves open."""
    if configuration.allow_loopback_peers:
        findings.warn(
            "allow-loopback-peers", "clients reach services on this machine; for tests only"
        )
    if configuration.peer_policy is not PeerPolicy.COTURN:
        return
    ranges = configuration.peer_rules(frozenset()).open_private_ranges()
    if ranges:
        findings.warn(
            "peer-policy",
            f"coturn: clients reach {', '.join(ranges)} through this server; "
            "deny them with denied-peer-ip or set peer-policy=public",
        )
    if not configuration.allowed_peers and not configuration.stun_only:
        findings.note(
            "allowed-peer-ip",
            "not given: unlike with coturn, clients reach nothing at this machine's own addresses "
            "but each other's relayed ports; a media server here has to be named",
        )
