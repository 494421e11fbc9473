"""A server whose file a test rewrites, with SIGHUP and what the log says of it."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ferryman.wire.address import Address
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient

CHANNEL = 0x4000
OPEN = [*ACCOUNTS, "allow-loopback-peers"]


@dataclass
class Reloadable:
    """`told`: how many lines of the log have been looked at."""

    server: RunningServer
    file: Path
    told: int = field(default=0)

    @property
    def port(self) -> int:
        return self.server.port

    def change(self, *changes: tuple[str, str]) -> str:
        """Replace whole lines of the file ("" adds or takes away), reload; the log's last word."""
        lines = self.file.read_text().splitlines()
        for old, new in changes:
            at = lines.index(old) if old else len(lines)
            lines[at : at + 1] = [new] if new else []
        self.file.write_text("\n".join([*lines, ""]))
        return self.reload()

    def reload(self) -> str:
        self.told = len(self.server.log.splitlines())
        self.server.process.send_signal(signal.SIGHUP)
        return self.wait_for("reloaded")

    def wait_for(self, words: str, seconds: float = 10.0) -> str:
        """The first new line with these words."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.since():
                if words in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"no {words!r} in\n{self.server.log}")

    def since(self) -> list[str]:
        """The lines since the reload was asked for."""
        text = self.server.log
        return text[: text.rfind("\n") + 1].splitlines()[self.told :]


@contextlib.contextmanager
def reloadable(
    folder: Path, lines: Sequence[str] = OPEN, addresses: Sequence[str] = ("127.0.0.1",)
) -> Iterator[Reloadable]:
    with start_server(lines, folder, addresses=addresses) as server:
        assert logged(server, "ready realm=")
        yield Reloadable(server, folder / "turnserver.conf")


@dataclass
class Call:
    """A client and its peer, with a channel between them."""

    client: TurnClient
    peer: Peer
    relayed: Address
    count: int = 0
    is_over: bool = False

    def goes_on(self) -> None:
        """A packet each way."""
        self.count += 1
        there, back = b"there %d" % self.count, b"back %d" % self.count
        self.client.send_on(CHANNEL, there)
        assert self.peer.receive() == (there, self.relayed)
        self.peer.send(self.relayed, back)
        assert self.client.receive_channel() == (CHANNEL, back)


@contextlib.contextmanager
def call_of(client: TurnClient) -> Iterator[Call]:
    with client, Peer() as peer:
        relayed = client.relayed()
        assert client.bind(CHANNEL, peer.address).code == 0
        call = Call(client, peer, relayed)
        call.goes_on()
        yield call
        if not call.is_over:
            call.goes_on()
