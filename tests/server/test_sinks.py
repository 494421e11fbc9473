"""Files, streams and syslog: what is written arrives whole, also while files are moved away."""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.server.sinks import LOOK_SECONDS, LogFile, Syslog, dated

NOON = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))
DAY = 24 * 3600.0


class Clock:
    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def put(sink: LogFile, *lines: str) -> None:
    for line in lines:
        sink.write_line(line, "info")
    sink.flush()


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "turn.log"
    path.write_text("before\n")
    put(LogFile(path), "one", "two")
    assert path.read_text() == "before\none\ntwo\n"


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    put(LogFile(tmp_path / "turn.log"), "one")
    assert (tmp_path / "turn.log").stat().st_mode & 0o007 == 0


def test_after_a_rename_and_reopen_every_line_is_in_one_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "turn.log"
    stream = SteadyStream(None, [LogFile(path)])
    log = make_log(Format.TEXT, 10, stream)
    for number in range(5_000):
        with stream.hold():
            log.info("record", number=number)
            if number % 50 == 49:
                path.rename(tmp_path / f"turn.log.{number}")
            log.info("record as well", number=number)
        if number % 50 == 49:
            stream.reopen()
    files = [file.read_text() for file in tmp_path.iterdir()]
    assert len(files) == 101
    assert sum(text.count("\n") for text in files) == 10_000
    assert {int(n) for text in files for n in re.findall(r"number=(\d+)", text)} == set(range(5000))


def test_what_waits_when_a_file_is_reopened_is_in_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "turn.log"
    sink = LogFile(path)
    sink.write_line("one", "info")
    path.rename(tmp_path / "old")
    sink.reopen()
    put(sink, "two")
    assert (tmp_path / "old").read_text() == "one\n"
    assert path.read_text() == "two\n"


def test_a_file_that_was_moved_away_is_noticed_without_a_signal(tmp_path: Path) -> None:
    path, clock = tmp_path / "turn.log", Clock()
    sink = LogFile(path, clock=clock)
    put(sink, "one")
    path.rename(tmp_path / "old")
    put(sink, "two")
    clock.at += LOOK_SECONDS
    put(sink, "three")
    assert (tmp_path / "old").read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_a_file_that_was_cut_short_goes_on_at_its_new_end(tmp_path: Path) -> None:
    path = tmp_path / "turn.log"
    sink = LogFile(path)
    put(sink, "one")
    os.truncate(path, 0)
    put(sink, "two")
    assert path.read_text() == "two\n"


def test_a_daily_file_has_the_date_in_its_name_and_a_successor(tmp_path: Path) -> None:
    clock = Clock()
    sink = LogFile(tmp_path / "turn.log", daily=True, clock=clock)
    put(sink, "one")
    clock.at += DAY
    put(sink, "two")
    assert (tmp_path / "turn_2026-03-01.log").read_text() == "one\n"
    assert (tmp_path / "turn_2026-03-02.log").read_text() == "two\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("turn.log", "turn_2026-03-01.log"),
        ("turn", "turn_2026-03-01.log"),
        ("turn.", "turn_2026-03-01.log"),
        ("turn_", "turn_2026-03-01.log"),
        ("turn-.txt", "turn-2026-03-01.txt"),
        ("my turn.log", "my_turn_2026-03-01.log"),
        (".log", "2026-03-01.log"),
        ("a.b.c", "a.b_2026-03-01.c"),
    ],
)
def test_dates_stand_where_coturn_has_them(name: str, expected: str) -> None:
    assert dated(Path("/x") / name, NOON) == Path("/x") / expected


def test_when_no_new_file_can_be_made_the_old_one_stays(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = LogFile(folder / "turn.log")
    folder.rename(tmp_path / "elsewhere")
    sink.reopen()
    put(sink, "one")
    assert (tmp_path / "elsewhere" / "turn.log").read_text() == "one\n"


def test_a_file_in_a_folder_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(tmp_path / "no" / "turn.log")


def test_a_pipe_that_nobody_reads_does_not_hang_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe") as raised:
        LogFile(tmp_path / "pipe")
    assert raised.value.errno == errno.ENXIO


def test_a_full_disk_loses_lines_counts_them_and_says_so_afterwards() -> None:
    sink = LogFile(Path("/dev/full"))
    stream = SteadyStream(None, [sink])
    log = make_log(Format.TEXT, 10, stream)
    for _ in range(3):
        log.info("record")
    assert sink.lost == 3
    assert stream.take_lost() == 0, "there is nowhere to say it"
    sink.failing = False
    assert (stream.take_lost(), stream.take_lost()) == (3, 0)


def test_half_a_line_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    reader, writer = pipe_with_room_for(tmp_path / "pipe", 4096)
    put(writer, "x" * 5000)
    assert writer.failing
    assert writer.lost == 1
    first = os.read(reader, 8192)
    put(writer, "two")
    assert (first + os.read(reader, 8192)).split(b"\n")[1:] == [b"two", b""]
    assert not writer.failing


def pipe_with_room_for(path: Path, size: int) -> tuple[int, LogFile]:
    import fcntl

    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, size)
    return reader, LogFile(path)


@pytest.fixture
def syslogd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "log"))
        daemon.settimeout(5)
        yield daemon


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 31), ("info", 30), ("warning", 28), ("error", 27)]
)
def test_syslog_gets_facility_level_name_and_process(
    syslogd: socket.socket, tmp_path: Path, level: str, priority: int
) -> None:
    with closing(Syslog(3, "turnserver", tmp_path / "log")) as sink:
        sink.write_line("hello", level)
    text = syslogd.recv(4096).decode()
    assert re.fullmatch(
        rf"<{priority}>[A-Z][a-z]{{2}} [ 0-9]\d \d\d:\d\d:\d\d turnserver\[{os.getpid()}\]: hello",
        text,
    )


def test_syslog_may_be_restarted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(str(path))
        sink = Syslog(3, "turnserver", path)
    path.unlink()
    sink.write_line("nobody hears this", "info")
    assert (sink.lost, sink.failing) == (1, True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.bind(str(path))
        sink.write_line("hello again", "info")
        assert second.recv(4096).endswith(b": hello again")
    assert not sink.failing
    sink.close()


def test_a_syslog_that_hangs_does_not_hang_the_server(
    syslogd: socket.socket, tmp_path: Path
) -> None:
    sink = Syslog(3, "turnserver", tmp_path / "log")
    for _ in range(5_000):
        sink.write_line("x" * 500, "info")
    sink.close()
    assert sink.lost > 0


def test_no_syslog_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Syslog(3, "turnserver", tmp_path / "log")
