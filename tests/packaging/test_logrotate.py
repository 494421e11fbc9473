"""The logrotate file is one that logrotate takes, and it sends the signal."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import subprocess
from pathlib import Path

from tests.packaging.files import PACKAGING, with_systemctl
from tests.servers import program

FILE = PACKAGING / "logrotate/ferryman"


def adapted(folder: Path) -> Path:
    """The file as it is, but for folder and account, which are the test's own."""
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    text = FILE.read_text().replace("/var/log/turnserver", str(folder / "log"))
    here = folder / "ferryman"
    here.write_text(text.replace("su turnserver turnserver", f"su {user} {group}"))
    here.chmod(0o644)
    (folder / "log").mkdir(mode=0o750)
    (folder / "log/turnserver.log").write_text("one line\n")
    return here


def rotate(folder: Path, *arguments: str, pid: int) -> subprocess.CompletedProcess[str]:
    command = [program("logrotate"), "--state", str(folder / "state"), *arguments]
    environment = with_systemctl(folder, pid)
    return subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True, timeout=30
    )


def test_logrotate_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    found = rotate(tmp_path, "--debug", str(adapted(tmp_path)), pid=0)
    assert found.returncode == 0, found.stderr
    assert "error" not in found.stderr.replace("erroralerts", "")
    assert "turnserver.log" in found.stderr


def test_a_rotation_moves_the_file_and_sends_sighup(tmp_path: Path) -> None:
    here = adapted(tmp_path)
    with subprocess.Popen(["/bin/sleep", "60"]) as listener:
        found = rotate(tmp_path, "--force", str(here), pid=listener.pid)
        assert found.returncode == 0, found.stderr
        assert listener.wait(10) == -signal.SIGHUP
    names = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert names == ["turnserver.log.1"]
    assert (tmp_path / "log/turnserver.log.1").read_text() == "one line\n"
