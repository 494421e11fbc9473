"""What the datapath has to know to answer strangers as `admission` would, without asking.

A request without credentials, or with a nonce that is not ours, needs no decision: its answer
follows from these values alone. Knows no socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ferryman.engine.offer import Offer
from ferryman.engine.state import State


@dataclass(frozen=True, slots=True)
class Gate:
    """`lifetime` in seconds, 0 for nonces that never expire; `per_second`: answers over UDP to one
    source, 0 for any number. `algorithms`: PASSWORD-ALGORITHMS as strangers see it, and of MD5
    alone. `ahead`: nanoseconds that the nonces' clock is ahead of CLOCK_MONOTONIC. The key is in no
    `repr`."""

    realm: bytes
    cookie: bytes
    key: bytes = field(repr=False)
    lifetime: int
    algorithms: tuple[bytes, bytes]
    third_party: bytes
    fingerprint: bool
    per_second: int
    ahead: int


def gate_of(state: State) -> Gate | None:
    """None where nobody needs credentials, or TURN is not answered at all: then every request is
    the engine's."""
    settings, nonces = state.settings, state.nonces
    if settings.stun_only or not settings.authenticated:
        return None
    return Gate(
        realm=settings.realm.encode(),
        cookie=nonces.cookie,
        key=nonces.key,
        lifetime=nonces.lifetime,
        algorithms=(Offer.EITHER.encoded, Offer.MD5.encoded),
        third_party=settings.third_party.encode(),
        fingerprint=settings.fingerprint,
        per_second=settings.unauthorized_per_second,
        ahead=nonces.ahead,
    )
