"""The logrotate file, run by logrotate beside a server that writes."""

from __future__ import annotations

import grp
import os
import pwd
import re
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
    # One client may cause a hundred lines a second; what is beyond is counted in a line of its own.
    beyond = sum(int(n) for n in re.findall(r"doings not logged one by one.* count=(\d+)", text))
    assert min(opened, closed) > 0
    assert (opened + closed + beyond) % 2 == 0
    assert opened + closed + beyond >= 2 * (CALLS + 1)
    assert text.count("info    stopped") == 1


OF_A_GUIDE = "{folder}/*.log\n{{\n\trotate 7\n\tdaily\n\tmissingok\n\tcompress\n}}\n"


@pytest.mark.parametrize("name", ["coturn", "turnserver", None])
def test_a_file_that_somebody_has_already_is_the_only_one(
    tmp_path: Path, log_folder: Path, name: str | None
) -> None:
    """logrotate leaves a whole file out, and fails, where another one names the same log."""
    shared, rotations = tmp_path / "shared", tmp_path / "logrotate.d"
    for folder in (shared, rotations):
        folder.mkdir()
    (shared / "logrotate").write_text(adapted(tmp_path).read_text())
    if name is not None:
        (rotations / name).write_text(OF_A_GUIDE.format(folder=log_folder))
    (log_folder / "turnserver.log").write_text("one line\n")
    postinst = (PACKAGING / "debian/postinst").read_text()
    adapted_postinst = tmp_path / "postinst"
    adapted_postinst.write_text(
        postinst.replace("/etc/logrotate.d", str(rotations))
        .replace("/usr/share/ferryman", str(shared))
        .replace("/var/log/turnserver", str(log_folder))
    )
    subprocess.run(["sh", "-ec", f". {adapted_postinst}; rotation"], check=True, timeout=30)
    assert [path.name for path in rotations.iterdir()] == [name or "coturn"]
    found = rotate(tmp_path, "--force", str(rotations))
    assert (found.returncode, found.stderr) == (0, "")
    assert (log_folder / "turnserver.log.1").exists() or (
        log_folder / "turnserver.log.1.gz"
    ).exists()


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
