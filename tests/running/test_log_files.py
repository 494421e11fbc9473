"""The log of a running server: in files that are moved away, on a full disk, nowhere."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.running.conftest import ACCOUNTS, logged
from tests.servers import start_server
from tests.turn_client import TurnClient


def test_a_log_file_has_everything_and_stderr_nothing(tmp_path: Path) -> None:
    path = tmp_path / "turn.log"
    lines = [*ACCOUNTS, f"log-file={path}", "simple-log", "no-stdout-log"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        relayed = client.relayed()
    assert server.log == ""
    text = path.read_text()
    assert f"relayed={relayed}" in text
    assert text.splitlines()[-1].endswith("stopped")


_BEYOND = "a client's doings not logged one by one"


def test_beside_a_log_file_stderr_has_the_same(tmp_path: Path) -> None:
    path = tmp_path / "turn.log"
    with start_server([*ACCOUNTS, f"log-file={path}", "simple-log"], tmp_path) as server:
        pass
    assert path.read_text() == server.log != ""


def test_stdout_can_have_the_log(tmp_path: Path) -> None:
    with start_server([*ACCOUNTS, "log-file=stdout"], tmp_path) as server:
        pass
    assert server.log == ""
    assert "ready" in server.output_path.read_text()


def test_a_log_file_that_cannot_be_opened_is_one_line_and_stderr_steps_in(tmp_path: Path) -> None:
    path = tmp_path / "no" / "turn.log"
    lines = [*ACCOUNTS, f"log-file={path}", "simple-log", "no-stdout-log"]
    with start_server(lines, tmp_path) as server:
        pass
    said = [line for line in server.log.splitlines() if "log-file" in line]
    assert len(said) == 1
    assert said[0].endswith(
        f"log-file: {path} cannot be opened: No such file or directory; the log goes to stderr"
    )
    assert "ready" in server.log


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, "log-file=/dev/full", "simple-log", "no-stdout-log"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        client.relayed()
    assert server.log == ""


@pytest.mark.parametrize("signalled", [False, True])
def test_files_that_are_moved_away_under_load_miss_no_record(
    tmp_path: Path, signalled: bool
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    path = logs / "turn.log"
    lines = [*ACCOUNTS, f"log-file={path}", "simple-log", "no-stdout-log", "log-format=json"]
    lines.append("unauthorized-ratelimit=no")  # all calls are ours
    with start_server(lines, tmp_path) as server:
        done = threading.Event()
        process = server.process if signalled else None
        mover = threading.Thread(target=_move_away, args=(path, done, process))
        mover.start()
        try:
            calls = _call_until_moved(server.port, logs)
        finally:
            done.set()
            mover.join()
    records = [
        json.loads(line) for file in logs.iterdir() for line in file.read_text().splitlines()
    ]
    told = Counter(record["event"] for record in records)
    # One client may cause a hundred lines a second; what is beyond is counted in a line of its own.
    beyond = sum(record["count"] for record in records if record["event"] == _BEYOND)
    assert min(told["allocation opened"], told["allocation closed"]) > 0
    assert told["allocation opened"] + told["allocation closed"] + beyond == 2 * calls


def test_a_folder_that_takes_no_new_file_is_told_once_and_no_line_is_lost(tmp_path: Path) -> None:
    """As after `proc-user`, when logrotate has moved the file in a folder of root's."""
    logs, moved = tmp_path / "logs", tmp_path / "moved"
    logs.mkdir()
    said = "no new log file, lines go on to the old one"
    with start_server([*ACCOUNTS, f"log-file={logs}/turn.log", "simple-log"], tmp_path) as server:
        logs.rename(moved)
        for _ in range(3):
            call(server.port)
            time.sleep(1.1)
        (line,) = logged(server, said)
        assert line.endswith(f'reason="{logs}/turn.log: No such file or directory"')
        logs.mkdir()
        time.sleep(1.1)
        call(server.port)
    old, new = (moved / "turn.log").read_text(), (logs / "turn.log").read_text()
    assert old + new == server.log
    assert said in old
    assert "allocation closed" in new


def call(port: int) -> None:
    with TurnClient(port, "alice", "sesame") as client:
        client.relayed()
        client.refresh(0)


def _call_until_moved(port: int, logs: Path) -> int:
    """Open and close one allocation after another while three files come; returns how many."""
    calls = 0
    while len(list(logs.iterdir())) < 4:
        call(port)
        calls += 1
    return calls


def _move_away(path: Path, done: threading.Event, process: subprocess.Popen[bytes] | None) -> None:
    """As logrotate does: a new name, and a signal for whoever writes."""
    number = 0
    while not done.wait(0.05):
        if path.exists():
            number += 1
            path.rename(path.with_suffix(f".{number}"))
            if process is not None:
                process.send_signal(signal.SIGHUP)


def test_coturns_lines_tell_who_failed_to_log_in_and_what_a_call_used(tmp_path: Path) -> None:
    with start_server([*ACCOUNTS, "log-format=coturn"], tmp_path) as server:
        with TurnClient(server.port, "alice", "open sesame") as stranger:
            assert stranger.allocate().code == 401
            port = stranger.local.port
        with TurnClient(server.port, "alice", "sesame") as client:
            client.relayed()
            client.refresh(0)
    said = [line.partition(" INFO ")[2] for line in server.log.splitlines()]
    nobody, session = "session 000000000000000000: ", "session 000000000000000001: "
    assert (
        f"{nobody}realm <ferry.example> user <alice>: incoming packet message processed, "
        f"error 401: Unauthorized, remote 127.0.0.1:{port}"
    ) in said
    usage = "realm=<ferry.example>, username=<alice>, rp=0, rb=0, sp=0, sb=0"
    assert f"{session}usage: {usage}" in said
    assert f"{session}peer usage: {usage}" in said
