"""Who may relay on the interop tests' server, and how `turnutils_uclient` is told who it is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Final

SECRET: Final = "3d1f0a7b9c25e64880d1f6c2a95be374"
NEXT_SECRET: Final = "77e0c41d9a6b4f2285c3b1d0f96a8e12"
USER: Final = "wendy"
PASSWORD: Final = "a-walk-on-the-pier"

ANYONE: Final = [
    "realm=example.org",
    "fingerprint",
    "allow-loopback-peers",
    # Debian's client picks channel numbers up to 0x7FFF.
    "rfc5766-channel-numbers",
]
TIME_LIMITED: Final = [
    "use-auth-secret",
    f"static-auth-secret={SECRET}",
    f"static-auth-secret={NEXT_SECRET}",
]
STATIC: Final = ["lt-cred-mech", f"user={USER}:{PASSWORD}"]


def time_limited_flags(username: str, secret: str = SECRET) -> list[str]:
    """Flags for a time-limited username made here, not by the client's own `-W`."""
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return ["-u", username, "-w", base64.b64encode(digest).decode()]


def account_flags(account: str) -> list[str]:
    """Flags for one of the accounts that the server takes, or `KeyError`."""
    in_an_hour = int(time.time()) + 3600
    return {
        "static": ["-u", USER, "-w", PASSWORD],
        "timestamp:user": ["-W", SECRET, "-u", "jim"],
        "timestamp": ["-W", SECRET],
        "user:timestamp": time_limited_flags(f"jim:{in_an_hour}"),
        "the next secret": ["-W", NEXT_SECRET, "-u", "jim"],
    }[account]
