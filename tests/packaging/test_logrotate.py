"""The logrotate file, run by logrotate beside a server that writes."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import time
from pathlib import Path

import pytest

from tests.packaging.files import PACKAGING
from tests.servers import RunningServer, program, start_server
from tests.turn_client import TurnClient

FILE = PACKAGING / "logrotate/ferryman"
LINES = (
    "user=alice:wonderland",
    "realm=example.org",
    "allow-loopback-peers",
    "no-stdout-log",
)
CALLS = 3


def adapted(folder: Path) -> Path:
    """The file as it is, but for folder and account, which are the test's own."""
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    text = FILE.read_text().replace("/var/log/turnserver", str(folder / "log"))
    here = folder / "ferryman"
    here.write_text(text.replace("su turnserver turnserver", f"su {user} {group}"))
    here.chmod(0o644)
    return here


def rotate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("logrotate"), "--state", str(folder / "state"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)


@pytest.fixture
def log_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir(mode=0o750)
    return folder


def test_logrotate_finds_nothing_wrong_with_it(tmp_path: Path, log_folder: Path) -> None:
    (log_folder / "turnserver.log").write_text("one line\n")
    found = rotate(tmp_path, "--debug", str(adapted(tmp_path)))
    assert found.returncode == 0, found.stderr
    assert "error" not in found.stderr.replace("erroralerts", "")
    assert "turnserver.log" in found.stderr


def test_no_line_is_lost_when_the_files_of_a_running_server_are_rotated(
    tmp_path: Path, log_folder: Path
) -> None:
    here, log = adapted(tmp_path), log_folder / "turnserver.log"
    with start_server([*LINES, f"log-file={log}", "simple-log"], tmp_path) as server:
        call(server)
        for number in range(CALLS):
            moved = log.stat().st_ino
            found = rotate(tmp_path, "--force", str(here))
            assert found.returncode == 0, found.stderr
            call(server)
            wait_for_a_new_file(log, moved, server)
            names = {path.name for path in log_folder.iterdir()}
            packed = {f"turnserver.log.{older}.gz" for older in range(2, number + 2)}
            assert names == {"turnserver.log", "turnserver.log.1", *packed}
    text = "".join(read(path) for path in log_folder.iterdir())
    opened, closed = text.count("allocation opened"), text.count("allocation closed")
    assert opened == closed >= CALLS + 1
    assert text.count("info    stopped") == 1


def call(server: RunningServer) -> None:
    with TurnClient(server.port, "alice", "wonderland") as client:
        client.relayed()


def wait_for_a_new_file(log: Path, old: int, server: RunningServer) -> None:
    deadline = time.monotonic() + 20
    while not log.exists() or log.stat().st_ino == old:
        assert time.monotonic() < deadline
        call(server)
        time.sleep(0.05)


def read(path: Path) -> str:
    return subprocess.run(
        ["gzip", "--decompress", "--force", "--stdout", str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
