"""Which front ends may say who their clients are (`tcp-proxy-port`, the PROXY protocol).

Whoever is believed can take any address: the limits of a source and the log would be theirs to
write. So a stranger must not be, and without a word from the operator only neighbours are.
"""

from __future__ import annotations

from ferryman.config.chosen import Chosen
from ferryman.config.notices import Findings
from ferryman.engine.peer_rules import PeerRule, parse_peer_rule

NEIGHBOURS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1",
    "fc00::/7",
)
"""Loopback, private (RFC 1918) and unique local (RFC 4193) addresses."""


def front_ends(chosen: Chosen, findings: Findings) -> tuple[PeerRule, ...]:
    """Those that are named, else the neighbours; none where nobody is to connect."""
    named = tuple(rule for _, found in chosen.every("tcp-proxy-from", tuple) for rule in found)
    if not chosen.one("tcp-proxy-port", int):
        if named:
            text = "without tcp-proxy-port it has no effect"
            findings.warn("tcp-proxy-from", text, chosen.where("tcp-proxy-from"))
        return ()
    if named or "tcp-proxy-from" in findings.doubtful:
        return named
    text = (
        "front ends are believed that connect from this machine or from a private address; "
        "name others with tcp-proxy-from"
    )
    findings.note("tcp-proxy-port", text, chosen.where("tcp-proxy-port"))
    return tuple(parse_peer_rule(text, text) for text in NEIGHBOURS)
