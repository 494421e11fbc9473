"""Who is a good peer: every special range at its edges, in every form that can carry it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.engine.embedded_ipv4 import embedded_ipv4
from ferryman.engine.peer_rules import PeerPolicy, PeerRule, PeerRules, parse_peer_rule

# Written down from the IANA special-purpose registries, apart from the code's own table.
NEVER_IPV4 = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16"]
MULTICAST_IPV4 = ["224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32"]
NOT_PUBLIC_IPV4 = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
]
TUNNELS = ["2001::/32", "2002::/16"]
NEVER_IPV6 = ["::/128", "::1/128", "fe80::/10", "fec0::/10", *TUNNELS]
NOT_PUBLIC_IPV6 = [
    "ff00::/8",
    "fc00::/7",
    "::/16",
    "100::/64",
    "64:ff9b:1::/48",
    "1000::/4",
    "2001:1::/32",
    "2001:1ff::/32",
    "2001:db8::/32",
    "3fff::/20",
    "4000::/3",
    "5f00::/16",
    "6000::/3",
    "8000::/3",
    "e000::/4",
    "f000::/5",
]


def rules(
    policy: PeerPolicy = PeerPolicy.PUBLIC,
    *,
    allowed: tuple[str, ...] = (),
    denied: tuple[str, ...] = (),
    allow_loopback: bool = False,
    no_multicast: bool = False,
    own: tuple[str, ...] = (),
) -> PeerRules:
    return PeerRules(
        policy,
        tuple(parse_peer_rule(text, f"allowed {text}") for text in allowed),
        tuple(parse_peer_rule(text, f"denied {text}") for text in denied),
        allow_loopback,
        no_multicast,
        frozenset(packed(text) for text in own),
    )


def packed(text: str) -> bytes:
    return ip_address(text).packed


def is_good(of: PeerRules, text: str) -> bool:
    return of.refusal(packed(text)) is None


def edges(networks: list[str]) -> list[str]:
    """First and last address of each network, and the nearest ones outside."""
    found = []
    for text in networks:
        network = ip_network(text)
        limit = 2**network.max_prefixlen - 1
        first, last = int(network[0]), int(network[-1])
        kind = IPv4Address if network.version == 4 else IPv6Address
        found += [str(kind(n)) for n in (first - 1, first, last, last + 1) if 0 <= n <= limit]
    return sorted(set(found))


def lies_in(text: str, networks: list[str]) -> bool:
    return any(ip_address(text) in ip_network(network) for network in networks)


EMBEDDINGS: dict[str, Callable[[bytes], bytes]] = {
    "mapped": lambda v4: bytes(10) + b"\xff\xff" + v4,
    "compatible": lambda v4: bytes(12) + v4,
    "NAT64": lambda v4: packed("64:ff9b::")[:12] + v4,
    "local NAT64, 96 bits": lambda v4: packed("64:ff9b:1:fffe::")[:12] + v4,
    "local NAT64, 64 bits": lambda v4: packed("64:ff9b:1:fffe::")[:9] + v4 + bytes(3),
    "local NAT64, 56 bits": lambda v4: (
        packed("64:ff9b:1:fe00::")[:7] + v4[:1] + b"\0" + v4[1:] + bytes(4)
    ),
    "local NAT64, 48 bits": lambda v4: (
        packed("64:ff9b:1::")[:6] + v4[:2] + b"\0" + v4[2:] + bytes(5)
    ),
    "ISATAP, local": lambda v4: packed("2a00:1450:4001:800::")[:8] + b"\0\0\x5e\xfe" + v4,
    "ISATAP, global": lambda v4: packed("2a00:1450:4001:800::")[:8] + b"\2\0\x5e\xfe" + v4,
}
# Forms whose own prefix is public, so that the IPv4 address inside decides.
PUBLIC_FORMS = ["NAT64", "ISATAP, local", "ISATAP, global"]


IPV4_EDGES = edges([*NEVER_IPV4, *MULTICAST_IPV4, *NOT_PUBLIC_IPV4])
IPV6_EDGES = edges([*NEVER_IPV6, *NOT_PUBLIC_IPV6, "2000::/3", "2001::/23", "64:ff9b::/96"])


@pytest.mark.parametrize("text", IPV4_EDGES)
def test_the_public_policy_takes_an_ipv4_peer_only_outside_every_special_range(text: str) -> None:
    special = lies_in(text, [*NEVER_IPV4, *MULTICAST_IPV4, *NOT_PUBLIC_IPV4])
    assert is_good(rules(), text) is not special


@pytest.mark.parametrize("text", IPV4_EDGES)
def test_the_coturn_policy_refuses_ipv4_only_where_coturn_does(text: str) -> None:
    assert is_good(rules(PeerPolicy.COTURN), text) is not lies_in(text, NEVER_IPV4)
    strict = rules(PeerPolicy.COTURN, no_multicast=True)
    assert is_good(strict, text) is not lies_in(text, NEVER_IPV4 + MULTICAST_IPV4)


@pytest.mark.parametrize("text", IPV6_EDGES)
def test_the_public_policy_takes_ipv6_only_in_global_unicast_space(text: str) -> None:
    ipv4_inside = [str(IPv4Address(ip)) for ip in embedded_ipv4(packed(text))]
    special_inside = any(
        lies_in(ip, [*NEVER_IPV4, *MULTICAST_IPV4, *NOT_PUBLIC_IPV4]) for ip in ipv4_inside
    )
    in_space = lies_in(text, ["2000::/3"]) and not lies_in(
        text, ["2001::/23", "2001:db8::/32", "3fff::/20", *TUNNELS]
    )
    expected = (in_space or lies_in(text, ["64:ff9b::/96"])) and not special_inside
    assert is_good(rules(), text) is expected


@pytest.mark.parametrize("text", IPV6_EDGES)
def test_the_coturn_policy_refuses_ipv6_only_where_coturn_does(text: str) -> None:
    ipv4_inside = [str(IPv4Address(ip)) for ip in embedded_ipv4(packed(text))]
    refused = lies_in(text, [*NEVER_IPV6, "fc00::/7"])
    refused |= any(lies_in(ip, NEVER_IPV4) for ip in ipv4_inside)
    assert is_good(rules(PeerPolicy.COTURN), text) is not refused


@pytest.mark.parametrize("form", EMBEDDINGS)
@pytest.mark.parametrize("text", IPV4_EDGES)
def test_a_refused_ipv4_address_is_refused_inside_every_ipv6_form(form: str, text: str) -> None:
    v6 = EMBEDDINGS[form](packed(text))
    if v6 in (packed("::"), packed("::1")):
        assert rules().refusal(v6) is not None
        return
    for policy in PeerPolicy:
        of = rules(policy, no_multicast=True)
        if not is_good(of, text):
            assert of.refusal(v6) is not None, (policy, IPv6Address(v6))


@pytest.mark.parametrize("form", PUBLIC_FORMS)
@pytest.mark.parametrize("text", IPV4_EDGES)
def test_a_good_ipv4_address_is_good_inside_a_public_form(form: str, text: str) -> None:
    v6 = EMBEDDINGS[form](packed(text))
    assert (rules().refusal(v6) is None) is is_good(rules(), text)


@pytest.mark.parametrize("form", sorted(set(EMBEDDINGS) - set(PUBLIC_FORMS)))
def test_forms_outside_public_space_are_good_only_under_the_coturn_policy(form: str) -> None:
    v6 = EMBEDDINGS[form](packed("9.9.9.9"))
    assert rules().refusal(v6) is not None
    assert rules(PeerPolicy.COTURN).refusal(v6) is None


@pytest.mark.parametrize("policy", PeerPolicy)
def test_what_leads_into_an_automatic_tunnel_is_no_peer_whoever_allows_it(
    policy: PeerPolicy,
) -> None:
    of = rules(policy, allowed=("::/0", "2000::/3", "2002:808:808::1"))
    for text in edges(TUNNELS):
        assert is_good(of, text) is not lies_in(text, TUNNELS), text
    # With 8.8.8.8 inside, which is a good peer by itself.
    assert not is_good(of, "2002:808:808::1")
    assert not is_good(of, "2001:0:808:808:0:ffff:f7f7:f7f7")
    assert is_good(of, "8.8.8.8")


@pytest.mark.parametrize("form", EMBEDDINGS)
def test_a_denied_ipv4_address_is_refused_inside_every_form(form: str) -> None:
    for policy in PeerPolicy:
        of = rules(policy, denied=("9.9.9.0/24",), allowed=("::/0",))
        refusal = of.refusal(EMBEDDINGS[form](packed("9.9.9.9")))
        assert refusal is not None, policy
        assert refusal.startswith("denied 9.9.9.0/24")
        assert "inside it: 9.9.9.9" in refusal


@pytest.mark.parametrize("form", EMBEDDINGS)
def test_the_servers_own_ipv4_address_is_refused_inside_every_form(form: str) -> None:
    of = rules(own=("9.9.9.9",), allowed=("::/0",))
    assert of.refusal(EMBEDDINGS[form](packed("9.9.9.9"))) is not None
    assert of.refusal(EMBEDDINGS[form](packed("9.9.9.8"))) is None


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("::ffff:1.2.3.4", ["1.2.3.4"]),
        ("::1.2.3.4", ["1.2.3.4"]),
        ("::", []),
        ("::1", []),
        ("::2", ["0.0.0.2"]),
        ("64:ff9b::192.0.2.33", ["192.0.2.33"]),
        # RFC 6052 §2.4, with the local-use prefix of RFC 8215
        ("64:ff9b:1:c000:2:2100::", ["192.0.2.33", "0.2.33.0", "2.33.0.0"]),
        ("64:ff9b:1:fec0:0:221::", ["192.0.2.33", "0.2.33.0"]),
        ("64:ff9b:1:fffe:c0:2:2100::", ["192.0.2.33", "33.0.0.0"]),
        ("64:ff9b:1:fffe::192.0.2.33", ["192.0.2.33"]),
        ("64:ff9b:1:fffe:ff00::192.0.2.33", []),  # the u octet is not zero: no form fits
        ("64:ff9b:1::", ["0.0.0.0"]),
        ("2a00::5efe:1.2.3.4", ["1.2.3.4"]),
        ("2a00::200:5efe:1.2.3.4", ["1.2.3.4"]),
        ("2a00::100:5efe:1.2.3.4", ["1.2.3.4"]),
        ("2a00::300:5efe:1.2.3.4", ["1.2.3.4"]),
        ("2a00::400:5efe:1.2.3.4", []),
        ("::ffff:0:1.2.3.4", ["1.2.3.4"]),  # RFC 2765 §2.1
        ("::fffe:0:1.2.3.4", []),
        ("2a00::1.2.3.4", []),
        ("64:ff9b:2::1.2.3.4", []),
        ("2003:102:304::1", []),
    ],
)
def test_embedded_addresses_are_found_where_the_rfcs_put_them(text: str, inside: list[str]) -> None:
    assert sorted(embedded_ipv4(packed(text))) == sorted(packed(ip) for ip in inside)


@pytest.mark.parametrize(
    ("what", "of", "good", "refused"),
    [
        (
            "allowed opens private, unique-local and documentation ranges under public",
            rules(allowed=("10.0.0.5", "fd00::/8", "203.0.113.0/24")),
            ["10.0.0.5", "fd12::1", "203.0.113.9"],
            ["10.0.0.4", "10.0.0.6", "fc00::1"],
        ),
        (
            "allowed opens the server's own address",
            rules(own=("10.0.0.5", "1.1.1.1"), allowed=("1.1.1.1",)),
            ["1.1.1.1"],
            ["10.0.0.5"],
        ),
        (
            "allowed wins over denied",
            rules(PeerPolicy.COTURN, allowed=("10.0.0.5",), denied=("10.0.0.0/8",)),
            ["10.0.0.5", "11.0.0.0"],
            ["10.0.0.4", "10.255.255.255"],
        ),
        (
            "allowed does not open what is never a peer",
            rules(allowed=("0.0.0.0/0", "::/0"), no_multicast=True),
            ["10.0.0.1", "fd00::1", "4000::1"],
            ["0.0.0.1", "127.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1",
             "::", "::1", "fe80::1", "fec0::1", "ff02::1"],
        ),
        (
            "under the coturn policy allowed does not open unique-local, as in coturn",
            rules(PeerPolicy.COTURN, allowed=("fc00::/7",)),
            ["2a00::1"],
            ["fc00::1", "fdff::1"],
        ),
        (
            "loopback is good when asked for, though it is the server's own",
            rules(allow_loopback=True, own=("127.0.0.1", "::1", "1.1.1.1")),
            ["127.0.0.1", "127.255.255.255", "::1"],
            ["1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1"],
        ),
        (
            "loopback that is asked for can still be denied",
            rules(allow_loopback=True, denied=("127.0.0.2-127.255.255.255",)),
            ["127.0.0.1"],
            ["127.0.0.2"],
        ),
        (
            "loopback is good under the coturn policy when asked for, mapped as well",
            rules(PeerPolicy.COTURN, allow_loopback=True),
            ["127.0.0.1", "::1", "::ffff:127.0.0.1"],
            ["0.0.0.0", "::"],
        ),
        (
            "the public policy refuses multicast without being asked",
            rules(),
            [],
            ["224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "ff0e::1"],
        ),
        (
            "the coturn policy refuses the server's own addresses, those inside others too",
            rules(PeerPolicy.COTURN, own=("1.1.1.1", "10.0.0.5", "2a00::5")),
            ["1.1.1.2", "10.0.0.6", "2a00::6"],
            ["1.1.1.1", "10.0.0.5", "2a00::5", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"],
        ),
        (
            "under the coturn policy allowed opens the server's own address, and denied says so",
            rules(
                PeerPolicy.COTURN,
                own=("10.0.0.5", "1.1.1.1", "2.2.2.2"),
                allowed=("1.1.1.1",),
                denied=("1.1.1.1", "2.2.2.2"),
            ),
            ["1.1.1.1"],
            ["10.0.0.5", "2.2.2.2"],
        ),
        (
            "under the coturn policy loopback is good when asked for, though the server's own",
            rules(PeerPolicy.COTURN, allow_loopback=True, own=("127.0.0.1", "::1", "1.1.1.1")),
            ["127.0.0.1", "127.0.0.2", "::1"],
            ["1.1.1.1"],
        ),
        (
            "ranges overlap",
            rules(PeerPolicy.COTURN, denied=("10.0.0.0/8", "10.1.0.0-12.0.0.0", "11.0.0.1")),
            ["9.255.255.255", "12.0.0.1"],
            ["10.0.0.0", "10.1.0.0", "11.0.0.1", "12.0.0.0"],
        ),
    ],
)  # fmt: skip
def test_rules_count_in_their_order(
    what: str, of: PeerRules, good: list[str], refused: list[str]
) -> None:
    assert [text for text in good if not is_good(of, text)] == []
    assert [text for text in refused if is_good(of, text)] == []


@pytest.mark.parametrize(
    ("of", "peer", "text"),
    [
        (rules(), "10.1.2.3", "peer-policy=public: private 10.0.0.0/8"),
        (rules(), "169.254.169.254", "never a peer: link-local 169.254.0.0/16"),
        (rules(), "127.0.0.1", "no allow-loopback-peers: loopback 127.0.0.0/8"),
        (rules(), "224.0.0.1", "peer-policy=public: multicast 224.0.0.0/4"),
        (rules(no_multicast=True), "224.0.0.1", "no-multicast-peers: multicast 224.0.0.0/4"),
        (rules(own=("1.1.1.1",)), "1.1.1.1", "this server's own address"),
        (rules(PeerPolicy.COTURN, own=("1.1.1.1",)), "1.1.1.1", "this server's own address"),
        (rules(denied=("1.1.1.0/24",)), "1.1.1.1", "denied 1.1.1.0/24"),
        (rules(denied=("1.1.1.1", "1.1.1.0/24")), "1.1.1.1", "denied 1.1.1.1"),
        (
            rules(),
            "64:ff9b::a00:1",
            "peer-policy=public: private 10.0.0.0/8 (inside it: 10.0.0.1)",
        ),
    ],
)
def test_a_refusal_names_the_rule(of: PeerRules, peer: str, text: str) -> None:
    assert of.refusal(packed(peer)) == text


def test_new_addresses_of_the_server_count_from_then_on() -> None:
    before = rules(own=("1.1.1.1",))
    after = before.with_own(frozenset([packed("2.2.2.2")]))
    assert (is_good(before, "1.1.1.1"), is_good(before, "2.2.2.2")) == (False, True)
    assert (is_good(after, "1.1.1.1"), is_good(after, "2.2.2.2")) == (True, False)
    assert packed("2.2.2.2") in after.own
    assert packed("1.1.1.1") not in after.own
    assert packed("::ffff:2.2.2.2") not in after.own


ALL_PRIVATE = (
    "private 10.0.0.0/8",
    "private 172.16.0.0/12",
    "private 192.168.0.0/16",
    "shared 100.64.0.0/10",
)


@pytest.mark.parametrize(
    ("of", "still_open"),
    [
        (rules(), ()),
        (rules(allowed=("10.0.0.0/8",)), ()),
        (rules(PeerPolicy.COTURN), ALL_PRIVATE),
        (rules(PeerPolicy.COTURN, denied=("10.0.0.0/8",)), ALL_PRIVATE[1:]),
        (rules(PeerPolicy.COTURN, denied=("10.0.0.0-10.255.255.254",)), ALL_PRIVATE),
        (rules(PeerPolicy.COTURN, denied=("10.0.0.1-10.255.255.255",)), ALL_PRIVATE),
        (rules(PeerPolicy.COTURN, denied=("10.0.0.0/9", "10.128.0.0/9")), ALL_PRIVATE[1:]),
        (rules(PeerPolicy.COTURN, denied=("0.0.0.0/0",), allowed=("10.0.0.5",)), ()),
    ],
)
def test_private_ranges_that_stand_open_are_named(
    of: PeerRules, still_open: tuple[str, ...]
) -> None:
    assert of.open_private_ranges() == still_open


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9"),
        ("10.0.0.1 - 10.0.0.9", "10.0.0.1", "10.0.0.9"),
        ("10.0.0.1-10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("fc00::/7", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::",
         "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("::1", "::1", "::1"),
    ],
)  # fmt: skip
def test_a_rule_is_an_address_a_network_or_a_range(text: str, first: str, last: str) -> None:
    assert parse_peer_rule(text, "here") == PeerRule(packed(first), packed(last), "here")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected an address, a network"),
        ("example.com", "expected an address, a network"),
        ("10.0.0", "expected an address, a network"),
        ("010.0.0.1", "expected an address, a network"),
        ("10.0.0.1-", "expected an address, a network"),
        ("10.0.0.1-10.0.0.2-10.0.0.3", "expected an address, a network"),
        ("10.0.0.9-10.0.0.1", "the lower address of the range first"),
        ("10.0.0.1-::1", "within one address family"),
        ("10.0.0.0/33", "expected a network such as"),
        ("/8", "expected a network such as"),
        ("10.0.0.0-10.0.0.0/8", "expected a network such as"),
        ("10.1.2.3/8", "expected 10.0.0.0/8, the network that 10.1.2.3 lies in"),
        ("fe80::1%eth0", "without a zone"),
    ],
)
def test_a_rule_that_is_none_says_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected.replace("[", r"\[")):
        parse_peer_rule(text, "here")


ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


@st.composite
def networks(draw: st.DrawFn) -> tuple[bytes, bytes]:
    first, last = draw(
        st.tuples(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4))
    )
    return min(first, last), max(first, last)


@given(
    st.lists(networks(), max_size=8),
    st.lists(networks(), max_size=8),
    st.binary(min_size=4, max_size=4),
)
def test_the_search_agrees_with_reading_the_rules_one_by_one(
    allowed: list[tuple[bytes, bytes]], denied: list[tuple[bytes, bytes]], ip: bytes
) -> None:
    of = PeerRules(
        PeerPolicy.COTURN,
        tuple(PeerRule(first, last, "allowed") for first, last in allowed),
        tuple(PeerRule(first, last, f"denied {n}") for n, (first, last) in enumerate(denied)),
        True,
        False,
        frozenset(),
    )
    expected = next((f"denied {n}" for n, (a, b) in enumerate(denied) if a <= ip <= b), None)
    if any(first <= ip <= last for first, last in allowed):
        expected = None
    if ip[0] == 0 or ip[:2] == b"\xa9\xfe":
        assert str(of.refusal(ip)).startswith("never a peer")
    else:
        assert of.refusal(ip) == expected


@given(ADDRESSES, st.sampled_from(PeerPolicy))
def test_every_address_has_an_answer(ip: bytes, policy: PeerPolicy) -> None:
    refusal = rules(policy, own=("1.1.1.1",)).refusal(ip)
    assert refusal is None or refusal
