"""What systemd is told (sd_notify), read from a socket as systemd does."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running.reloading import OPEN, Reloadable, reloadable
from tests.servers import STARTS_WITHIN, answers, ferryman, free_port
from tests.turn_client import TurnClient

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000


class Manager:
    """`name` as in NOTIFY_SOCKET; an @ stands for the NUL of an abstract one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(5)

    def next(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")

    def has_nothing(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)
        return False


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@ferryman-{os.getpid()}"
    manager = Manager(name)
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    yield manager
    manager.socket.close()


def test_it_is_told_of_every_turn(tmp_path: Path, manager: Manager) -> None:
    with reloadable(tmp_path, [*OPEN, "drain-timeout=30"]) as running:
        assert manager.next() == ["READY=1", "STATUS=serving"]
        before = time.monotonic_ns() // 1000
        running.change(("", "user=dave:late"))
        reloading, clock = manager.next()
        assert reloading == "RELOADING=1"
        assert before <= int(clock.removeprefix("MONOTONIC_USEC=")) < before + 10_000_000
        assert manager.next() == ["READY=1", "STATUS=serving"]
        running.change(("", "max-prot=1"))
        assert manager.next()[0] == "RELOADING=1"
        ready, status = manager.next()
        assert ready == "READY=1"
        assert status.startswith("STATUS=serving; not reloaded: ")
        assert "unknown key max-prot" in status
        with TurnClient(running.port, "alice", "sesame") as client:
            client.relayed()
            running.server.process.send_signal(signal.SIGTERM)
            assert manager.next() == ["STATUS=draining", "EXTEND_TIMEOUT_USEC=40000000"]
            client.refresh(0)
            assert manager.next() == ["STOPPING=1", "STATUS=stopping"]
        assert running.server.process.wait(5) == 0


def test_it_is_told_that_the_server_lives_for_as_long_as_the_worker_answers(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with reloadable(tmp_path) as running:
        assert manager.next()[0] == "READY=1"
        began = time.monotonic()
        for _ in range(5):
            assert manager.next() == ["WATCHDOG=1"]
        assert 0.9 < time.monotonic() - began < 3
        with held(worker_of(running)):
            until = time.monotonic() + 3
            while not manager.has_nothing(0.5):
                assert time.monotonic() < until, "nobody asks the worker"
            assert manager.has_nothing(1)
        assert manager.next() == ["WATCHDOG=1"]


def test_a_watchdog_of_another_process_is_none_of_ours(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    with reloadable(tmp_path):
        assert manager.next()[0] == "READY=1"
        assert manager.has_nothing(1)


def test_nobody_listening_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with reloadable(tmp_path) as running, TurnClient(running.port, "alice", "sesame") as client:
        client.relayed()


GUIDES = (
    "--daemon -c turnserver.conf --pidfile turnserver.pid "
    "--no-stdout-log --simple-log --log-file turnserver.log"
)


@pytest.mark.parametrize("started", ["$$", "1"])
def test_a_guides_override_with_daemon_stays_where_systemd_waits_for_it(
    tmp_path: Path, manager: Manager, started: str
) -> None:
    """`started`: whom systemd says that it has started; another process may go its own way."""
    port = free_port()
    lines = [f"listening-port={port}", "listening-ip=127.0.0.1", "user=alice:sesame", "realm=r"]
    (tmp_path / "turnserver.conf").write_text("\n".join(lines))
    command = f"export SYSTEMD_EXEC_PID={started}; exec {ferryman()[:-8]}turnserver {GUIDES}"
    with subprocess.Popen(["sh", "-c", command], cwd=tmp_path) as process:
        try:
            manager.socket.settimeout(STARTS_WITHIN)
            assert manager.next() == ["READY=1", "STATUS=serving"]
            serving = int((tmp_path / "turnserver.pid").read_text())
            assert (serving == process.pid) is (started == "$$")
            assert answers(port)
        finally:
            os.kill(int((tmp_path / "turnserver.pid").read_text()), signal.SIGTERM)
            assert process.wait(10) == 0
    assert manager.next() == ["STOPPING=1", "STATUS=stopping"]
    said = "systemd waits for this process" in (tmp_path / "turnserver.log").read_text()
    assert said is (started == "$$")


def worker_of(running: Reloadable) -> int:
    """The thread of the datapath, by its name."""
    for task in Path(f"/proc/{running.server.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == "ferryman-0":
            return int(task.name)
    raise AssertionError("the worker has no thread of its own")


@contextlib.contextmanager
def held(thread: int) -> Iterator[None]:
    """Stops one thread of another process and no other, as a fault of it would (ptrace)."""
    libc = ctypes.CDLL(None, use_errno=True)

    def trace(request: int) -> None:
        arguments = (ctypes.c_long(request), ctypes.c_long(thread), None, None)
        assert libc.ptrace(*arguments) == 0, os.strerror(ctypes.get_errno())

    trace(_SEIZE)
    trace(_INTERRUPT)
    os.waitpid(thread, _WALL)
    try:
        yield
    finally:
        trace(_DETACH)
