"""The server under test: where it listens, and whom it lets in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ferryman.auth.time_limited import password_for


@dataclass(frozen=True)
class Subject:
    """`users`, else `secret`, give the credentials; `peer_host` is where test peers listen."""

    host: str
    port: int
    tls_port: int | None = None
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secret: str | None = field(default=None, repr=False)
    peer_host: str = "127.0.0.1"

    def account(self) -> tuple[str, str]:
        """A username and its password."""
        return self.users[0] if self.users else self.time_limited("conformance")

    def other_account(self) -> tuple[str, str]:
        """Somebody else's."""
        return self.users[1] if len(self.users) > 1 else self.time_limited("somebody-else")

    def time_limited(self, name: str, *, seconds: int = 3600) -> tuple[str, str]:
        """A time-limited name that is good for so long (draft-uberti-behave-turn-rest-00)."""
        if self.secret is None:
            pytest.skip("this test needs --secret")
        username = f"{int(time.time()) + seconds}:{name}"
        return username, password_for(username, self.secret)


def parse(
    server: str, *, secret: str | None, users: Sequence[str], tls_port: int | None
) -> Subject:
    """From the command line: `--server`, `--secret`, `--user NAME:PASSWORD`, `--tls-port`."""
    host, _, port = server.rpartition(":")
    named = [user.partition(":") for user in users]
    return Subject(
        host.strip("[]"),
        int(port),
        tls_port=tls_port,
        users=tuple((name, password) for name, _, password in named),
        secret=secret,
    )
