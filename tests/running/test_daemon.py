"""`turnserver` in the background, with a pid file, as another user: what init scripts rely on."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import make_pair
from tests.running.conftest import ACCOUNTS
from tests.servers import answers, free_port
from tests.turn_client import TurnClient

TURNSERVER = str(Path(sys.executable).with_name("turnserver"))
NOBODY = pwd.getpwnam("nobody")


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the process that was started says and ends with; its output is closed, or this hangs."""
    return subprocess.run(
        [TURNSERVER, *arguments],
        capture_output=True, text=True, timeout=30, check=False, cwd=folder,
    )  # fmt: skip


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(process: int) -> bool:
    """A dead child of init may stay as a zombie where nobody is init."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status


class Daemon:
    def __init__(self, folder: Path, *lines: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.pid_file = folder / "turnserver.pid"
        self.log = folder / "turn.log"
        self.file = folder / "turnserver.conf"
        here = [f"listening-port={self.port}", "listening-ip=127.0.0.1", "relay-ip=127.0.0.1"]
        self.file.write_text("\n".join([*here, *ACCOUNTS, *lines, ""]))

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(
            *("-c", str(self.file), "--daemon", "--pidfile", str(self.pid_file)),
            *("--no-stdout-log", "--simple-log", "--log-file", str(self.log), *arguments),
            folder=self.folder,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[int]:
        """The process id of the daemon, which is ended in the end, and takes its file with it."""
        done = self.start(*arguments)
        assert done.returncode == 0, done.stderr + self.log.read_text()
        assert done.stdout + done.stderr == ""
        process = int(self.pid_file.read_text())
        try:
            yield process
        finally:
            os.kill(process, signal.SIGTERM)
            until(lambda: not is_running(process))


def test_the_command_returns_when_the_daemon_serves(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with daemon.running() as process:
        assert answers(daemon.port)
        assert os.getsid(process) == process, "a terminal's signals do not reach it"
        for standard in (0, 1, 2):
            assert os.readlink(f"/proc/{process}/fd/{standard}") == "/dev/null"
        with TurnClient(daemon.port, "alice", "sesame") as client:
            client.relayed()
    assert not daemon.pid_file.exists()
    assert daemon.log.read_text().splitlines()[-1].endswith("stopped")


READY_FOR_NOBODY = """
import os
from ferryman.app.background import Background
reader, writer = os.pipe()
os.close(reader)
Background(writer).ready()
"""


def test_a_command_that_was_ended_while_it_waited_ends_no_daemon() -> None:
    command = [sys.executable, "-c", READY_FOR_NOBODY]
    assert subprocess.run(command, timeout=30, check=False).returncode == 0


def test_a_pid_file_that_was_left_behind_is_overwritten(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.pid_file.write_text("4194304 and more than that\n")
    with daemon.running() as process:
        assert daemon.pid_file.read_text() == f"{process}\n"


def test_the_pid_file_of_another_server_stays(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with daemon.running():
        daemon.pid_file.write_text("1\n")
    assert daemon.pid_file.read_text() == "1\n"


def test_what_keeps_a_daemon_from_starting_is_one_line_and_status_1(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    with daemon.running():
        done = daemon.start("--pidfile", str(tmp_path / "second.pid"))
    assert done.returncode == 1
    assert done.stderr == (
        f"cannot listen on UDP 127.0.0.1:{daemon.port}: Address already in use\n"
    )
    assert not (tmp_path / "second.pid").exists()


def test_a_log_file_that_cannot_be_opened_is_told_to_whoever_started_it(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    nowhere = tmp_path / "no" / "turn.log"
    done = daemon.start("--log-file", str(nowhere))
    process = int(daemon.pid_file.read_text())
    os.kill(process, signal.SIGTERM)
    until(lambda: not is_running(process))
    assert done.returncode == 0
    said = f"log-file: {nowhere} cannot be opened: No such file or directory; the"
    assert [said in line for line in done.stderr.splitlines()].count(True) == 1


def test_a_bad_file_is_told_before_anything_goes_into_the_background(tmp_path: Path) -> None:
    done = Daemon(tmp_path, "listening-prot=1").start()
    assert done.returncode == 1
    assert "did you mean listening-port?" in done.stderr


def test_a_pid_file_that_cannot_be_written_is_one_line_in_the_log(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    done = daemon.start("--pidfile", str(tmp_path / "no" / "turnserver.pid"))
    assert (done.returncode, done.stderr) == (0, "")
    os.kill(process_with(str(daemon.file)), signal.SIGTERM)
    (line,) = [line for line in daemon.log.read_text().splitlines() if "cannot be written" in line]
    assert line.endswith("/no/turnserver.pid cannot be written: No such file or directory")


def test_a_pid_file_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    daemon, other = Daemon(tmp_path), tmp_path / "other"
    other.write_text("somebody's\n")
    daemon.pid_file.symlink_to(other)
    done = daemon.start()
    os.kill(process_with(str(daemon.file)), signal.SIGTERM)
    assert done.returncode == 0
    assert other.read_text() == "somebody's\n"
    assert "turnserver.pid cannot be written" in daemon.log.read_text()


def process_with(argument: str) -> int:
    """The one process that has this argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    (process,) = found
    return process


def test_a_pid_file_in_the_foreground_comes_and_goes_as_well(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    command = [TURNSERVER, "-c", str(daemon.file), "--pidfile", str(daemon.pid_file)]
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(command, stderr=err)
    until(lambda: answers(daemon.port))
    assert daemon.pid_file.read_text() == f"{process.pid}\n"
    process.terminate()
    assert process.wait(5) == 0
    assert not daemon.pid_file.exists()


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")


@as_root
def test_another_user_serves_a_port_and_a_key_that_only_root_could_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:2]:
        folder.chmod(0o755)
    pair = make_pair(tmp_path)
    pair.key.chmod(0o600)
    port = next(port for port in range(443, 1000) if not answers(port))
    tls = [f"cert={pair.certificate}", f"pkey={pair.key}", f"tls-listening-port={port}"]
    daemon = Daemon(tmp_path, *tls, "proc-user=nobody")
    with daemon.running() as process:
        for task in Path(f"/proc/{process}/task").iterdir():
            status = (task / "status").read_text()
            assert f"Uid:\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\t{NOBODY.pw_uid}\t" in status
            assert f"Gid:\t{NOBODY.pw_gid}\t{NOBODY.pw_gid}\t{NOBODY.pw_gid}\t" in status
            assert f"Groups:\t{NOBODY.pw_gid} \n" in status
            assert "CapEff:\t0000000000000000" in status
        with TurnClient(daemon.port, "alice", "sesame") as client:
            client.relayed()
        assert daemon.log.stat().st_uid == NOBODY.pw_uid
    text = daemon.log.read_text()
    assert f"address=127.0.0.1:{port}" in text
    assert "allocation opened" in text


@as_root
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_that_the_other_user_has_put_there_gives_nothing_away(
    tmp_path: Path, link: Callable[[str, str], None]
) -> None:
    """root opens the log file, and would hand over whatever that name leads to."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    secret, logs = tmp_path / "secret", tmp_path / "logs"
    secret.write_text("root's\n")
    secret.chmod(0o600)
    logs.mkdir()
    os.chown(logs, NOBODY.pw_uid, NOBODY.pw_gid)
    link(str(secret), str(logs / "turn.log"))
    daemon = Daemon(tmp_path, "proc-user=nobody")
    done = daemon.start("--log-file", str(logs / "turn.log"))
    process = int(daemon.pid_file.read_text())
    os.kill(process, signal.SIGTERM)
    until(lambda: not is_running(process))
    assert (secret.read_text(), secret.stat().st_uid) == ("root's\n", 0)
    assert "it is a link, in a folder that is not root's alone" in done.stderr


@as_root
def test_a_link_in_a_folder_of_roots_is_followed(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    there = tmp_path / "there.log"
    daemon.log.symlink_to(there)
    with daemon.running():
        assert answers(daemon.port)
    assert there.read_text().splitlines()[-1].endswith("stopped")


GUIDES_LINE = (
    "turnserver --daemon -c /etc/turnserver.conf --pidfile /run/turnserver/turnserver.pid "
    "--no-stdout-log --simple-log --log-file /var/log/turnserver/turnserver.log"
)
GUIDES_MACHINE = f"""
set -e
cp -a /etc "$1/etc"
cp "$1/turnserver.conf" "$1/etc/turnserver.conf"
mount --bind "$1/etc" /etc
mount -t tmpfs tmpfs /run && mkdir /run/turnserver
mkdir -p "$1/log/turnserver" && mount --bind "$1/log" /var/log
{GUIDES_LINE}
cat /run/turnserver/turnserver.pid
"""
"""A mount namespace of its own, so that the guide's files are where the guide has them."""


@as_root
def test_the_guides_command_line_runs_word_for_word(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", GUIDES_MACHINE, "-", str(tmp_path)],
        env={**os.environ, "PATH": f"{Path(TURNSERVER).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    process = int(done.stdout)
    assert answers(daemon.port)
    os.kill(process, signal.SIGTERM)
    until(lambda: not is_running(process))
    assert " ready " in (tmp_path / "log" / "turnserver" / "turnserver.log").read_text()


BECOME_ROOT = f"""
import os
from ferryman.app.privileges import PrivilegeError, become
from ferryman.config.values import RunAs
from ferryman.server.log import Format, SteadyStream, make_log
os.setresuid({NOBODY.pw_uid}, {NOBODY.pw_uid}, {NOBODY.pw_uid})
try:
    become(RunAs(0, 0, "root"), SteadyStream(), make_log(Format.TEXT))
except PrivilegeError as error:
    print(error)
"""


@as_root
def test_only_root_may_become_another_user() -> None:
    command = [sys.executable, "-c", BECOME_ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "cannot become user 0, group 0: Operation not permitted\n"
