"""Nonces of one server alone, or of all that share `stateless-nonce-secret`.

Those that are shared tell their time by the wall clock, which servers have in common, and not by
CLOCK_MONOTONIC, which begins anew with each machine.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable

from ferryman.app.keys import all_names_are_known
from ferryman.config import Configuration
from ferryman.engine.nonce import Nonces
from ferryman.engine.settings import SECOND
from ferryman.engine.state import State

CLOCK_SECONDS = 10.0
"""How often the two clocks are compared."""

_LABEL = b"nonces of Ferryman"


def new_nonces(configuration: Configuration) -> Nonces:
    shared = configuration.nonce_secret
    if shared is None:
        secret, ahead = os.urandom(32), 0
    else:
        text = shared.get_secret_value()
        secret, ahead = hmac.digest(text.encode(), _LABEL, "sha256"), wall_ahead()
    return Nonces(
        secret,
        configuration.nonce_lifetime,
        anonymous_usernames=all_names_are_known(configuration),
        ahead=ahead,
    )


def renewed_nonces(nonces: Nonces, before: Configuration, now: Configuration) -> Nonces:
    """What is out stays good, unless the secret has changed."""
    if before.nonce_secret != now.nonce_secret:
        return new_nonces(now)
    return nonces.renewed(now.nonce_lifetime, anonymous_usernames=all_names_are_known(now))


def wall_ahead() -> int:
    """Nanoseconds that the wall clock is ahead of CLOCK_MONOTONIC."""
    return max(0, time.time_ns() - time.monotonic_ns())


def clock_watch(state: State, guard: Callable[[], None]) -> Callable[[], None]:
    """Keeps shared nonces true to a wall clock that is set; `guard` tells the datapath."""

    def look() -> None:
        nonces, ahead = state.nonces, wall_ahead()
        if nonces.ahead and abs(ahead - nonces.ahead) > SECOND // 2:
            state.nonces = nonces.at(ahead)
            guard()

    return look
