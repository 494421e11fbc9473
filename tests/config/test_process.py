"""Background, pid file, user and group: what the keys come to."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from ferryman.config.values import LogOutput, LogStream, RunAs
from tests.config.reading import Reading

NOBODY = pwd.getpwnam("nobody")


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ([], None),
        (["pidfile="], None),
        (["pidfile=/run/turn.pid"], Path("/run/turn.pid")),
        (["daemon"], Path("/var/run/turnserver.pid")),
        (["daemon", "pidfile="], None),
        (["daemon", "pidfile=/run/turn.pid"], Path("/run/turn.pid")),
    ],
)
def test_a_pid_file_is_there_when_it_is_named_or_usual(
    reading: Reading, lines: list[str], path: Path | None
) -> None:
    assert reading.lines(*lines).pid_file == path


def test_a_daemon_has_no_stderr_to_log_to(reading: Reading) -> None:
    configuration = reading.lines("daemon")
    assert configuration.daemon
    assert configuration.log_output == LogOutput(LogStream.NONE, facility=3)
    said = reading.notices(configuration)
    assert "info: turnserver.conf:2: daemon: the log goes to syslog" in said
    stdout = reading.lines("daemon", "log-file=stdout").log_output
    assert stdout.stream is LogStream.NONE


@pytest.mark.parametrize(
    ("lines", "run_as"),
    [
        ([], RunAs()),
        (["proc-user=nobody"], RunAs(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")),
        ([f"proc-user={NOBODY.pw_uid}"], RunAs(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")),
        (["proc-group=daemon"], RunAs(group=1)),
        (["proc-user=nobody", "proc-group=daemon"], RunAs(NOBODY.pw_uid, 1, "nobody")),
    ],
)
def test_user_and_group_are_looked_up(reading: Reading, lines: list[str], run_as: RunAs) -> None:
    assert reading.lines(*lines).run_as == run_as


@pytest.mark.parametrize("key", ["proc-user", "proc-group"])
@pytest.mark.parametrize("text", ["no-such-name", "", "4294967295000"])
def test_a_name_that_the_machine_does_not_know_is_a_problem(
    reading: Reading, key: str, text: str
) -> None:
    (problem,) = reading.problems(f"user=a:b\n{key}={text}\n")
    assert problem.startswith(f"turnserver.conf:2: {key}: expected a ")
