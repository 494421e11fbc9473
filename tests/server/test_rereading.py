"""Reading again and again beside the event loop: one read at a time, each failure said once."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Sequence

import structlog
from structlog.testing import LogCapture

from ferryman.server.rereading import Rereading


class Broken(Exception):
    """What the tests' reads fail with."""


def rereading(*results: Sequence[str] | Broken) -> tuple[Rereading, LogCapture]:
    """Reads that bring these results, one after the other."""
    left = list(results)
    capture = LogCapture()
    log = structlog.wrap_logger(structlog.PrintLogger(io.StringIO()), processors=[capture])

    def read() -> Sequence[str]:
        result = left.pop(0)
        if isinstance(result, Broken):
            raise result
        return result

    return Rereading(read, Broken, log), capture


def lines(capture: LogCapture) -> list[tuple[str, str]]:
    return [(entry["log_level"], entry["event"]) for entry in capture.entries]


def run(reading: Rereading, times: int) -> None:
    async def all_of_them() -> None:
        for _ in range(times):
            await reading.once()

    asyncio.run(all_of_them())


def test_a_failure_is_said_once_and_so_is_its_end() -> None:
    reading, capture = rereading(Broken("gone"), Broken("gone"), (), ())
    run(reading, 4)
    assert lines(capture) == [
        ("warning", "gone; what was read before holds"),
        ("info", "readable again"),
    ]


def test_another_failure_is_another_line() -> None:
    reading, capture = rereading(Broken("gone"), Broken("locked"), Broken("locked"))
    run(reading, 3)
    assert [event for _, event in lines(capture)] == [
        "gone; what was read before holds",
        "locked; what was read before holds",
    ]


def test_what_is_wrong_with_the_content_is_a_line_each() -> None:
    reading, capture = rereading(("one", "two"), ())
    run(reading, 2)
    assert lines(capture) == [("warning", "one"), ("warning", "two")]


def test_a_read_that_takes_long_delays_nothing_and_is_not_started_twice() -> None:
    started, release = [], threading.Event()

    def read() -> tuple[str, ...]:
        started.append(threading.current_thread())
        assert release.wait(10)
        return ()

    async def chores() -> None:
        reading = Rereading(read, Broken, structlog.get_logger())
        for _ in range(3):
            reading()
            await asyncio.sleep(0)
        while not started:
            await asyncio.sleep(0)
        release.set()

    asyncio.run(chores())
    assert len(started) == 1
    assert started[0] is not threading.main_thread()
