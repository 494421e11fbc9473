"""The server under test: where it listens, and whom it lets in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ferryman.auth.time_limited import password_for


@dataclass(frozen=True)
class Subject:
    """`user`, else `secret`, gives the credentials; `peer_host` is where test peers listen."""

    host: str
    port: int
    tls_port: int | None = None
    user: tuple[str, str] | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    peer_host: str = "127.0.0.1"

    def account(self) -> tuple[str, str]:
        """A username and its password."""
        if self.user is not None:
            return self.user
        return self.time_limited("conformance")

    def other_account(self) -> tuple[str, str]:
        """Somebody else's."""
        return self.time_limited("somebody-else")

    def time_limited(self, name: str, *, seconds: int = 3600) -> tuple[str, str]:
        """A time-limited name that is good for so long (draft-uberti-behave-turn-rest-00)."""
        assert self.secret is not None, "this test needs --secret"
        username = f"{int(time.time()) + seconds}:{name}"
        return username, password_for(username, self.secret)


def parse(server: str, *, secret: str | None, user: str | None, tls_port: int | None) -> Subject:
    """From the command line: `--server`, `--secret`, `--user NAME:PASSWORD`, `--tls-port`."""
    host, _, port = server.rpartition(":")
    name, _, password = (user or "").partition(":")
    return Subject(
        host.strip("[]"),
        int(port),
        tls_port=tls_port,
        user=(name, password) if user else None,
        secret=secret,
    )
