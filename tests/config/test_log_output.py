"""Where the log goes: what each key and each name of `log-file` comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.config.values import LogOutput, LogStream
from tests.config.reading import Reading

FILE = Path("/var/log/turn.log")
ERR, OUT, NONE = LogStream.STDERR, LogStream.STDOUT, LogStream.NONE


@pytest.mark.parametrize(
    ("lines", "output"),
    [
        ([], LogOutput()),
        (["log-file="], LogOutput()),
        (["log-file=stderr"], LogOutput()),
        (["log-file=stdout"], LogOutput(OUT)),
        (["log-file=-"], LogOutput(OUT)),
        (["log-file=stdout", "no-stdout-log"], LogOutput(OUT)),
        (["log-file=syslog"], LogOutput(facility=3)),
        (["log-file=/var/log/turn.log"], LogOutput(ERR, FILE, daily=True)),
        (["log-file=/var/log/turn.log", "simple-log"], LogOutput(ERR, FILE)),
        (["log-file=/dev/stdout"], LogOutput(ERR, Path("/dev/stdout"))),
        (["log-file=/var/log/turn.log", "simple-log", "no-stdout-log"], LogOutput(NONE, FILE)),
        (["syslog"], LogOutput(facility=3)),
        (["syslog=no"], LogOutput()),
        (["syslog", "no-stdout-log"], LogOutput(NONE, facility=3)),
        (["no-stdout-log"], LogOutput(NONE, facility=3)),
        (["syslog-facility=LOG_LOCAL1"], LogOutput()),
        (["syslog", "syslog-facility=LOG_LOCAL1"], LogOutput(facility=17)),
        (["syslog", "syslog-facility=authpriv"], LogOutput(facility=10)),
        (["new-log-timestamp"], LogOutput()),
        (["new-log-timestamp=no"], LogOutput(since_start=True)),
        (["new-log-timestamp-format=%FT%T.%f%z"], LogOutput(time="%FT%T.%f%z")),
        (
            ["log-file=/var/log/turn.log", "simple-log", "syslog", "no-stdout-log"],
            LogOutput(NONE, FILE, facility=3),
        ),
    ],
)
def test_where_the_log_goes(reading: Reading, lines: list[str], output: LogOutput) -> None:
    assert reading.lines(*lines).log_output == output


def test_a_relative_file_is_one_of_the_folder_at_the_start(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reading.lines("log-file=turn.log").log_output.file == tmp_path / "turn.log"


def test_a_log_that_nobody_gave_a_place_goes_to_syslog_and_says_so(reading: Reading) -> None:
    said = reading.notices(reading.lines("no-stdout-log"))
    assert "info: turnserver.conf:2: no-stdout-log: the log goes to syslog" in said


@pytest.mark.parametrize("text", ["LOG_NOWHERE", "", "3"])
def test_a_facility_that_syslog_does_not_have_is_a_problem(reading: Reading, text: str) -> None:
    (problem,) = reading.problems(f"user=a:b\nsyslog-facility={text}\n")
    assert "expected a facility of syslog, such as LOG_DAEMON" in problem
