"""The log: structlog's loggers over lines that go to every place that was asked for."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from ferryman.server.log_line import Record, Threshold, coturn_line, json_line, text_line
from ferryman.server.log_time import COTURN_TIME, LocalTime, UtcTime
from ferryman.server.sinks import Sink, StandardStream


class SteadyStream:
    """The places that lines go to, as one that nobody can break: what cannot be written (a closed
    pipe, a full disk) is dropped, for no log line is worth a call.

    Each line leaves at once, but for those written inside `hold`, which leave together.
    """

    def __init__(self, stream: TextIO | None = None, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = (*((StandardStream(stream),) if stream else ()), *sinks)
        self._held = False

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """One system call for many lines."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.flush()

    def write_line(self, line: str, level: str) -> None:
        for sink in self._sinks:
            sink.write_line(line, level)
        self.flush()

    def flush(self) -> None:
        if self._held:
            return
        for sink in self._sinks:
            sink.flush()

    def reopen(self) -> None:
        """Begin new files where the old ones were moved away; loses no line."""
        for sink in self._sinks:
            sink.reopen()

    def give_to(self, user: int, group: int) -> None:
        """Hand the files over, before this process becomes that user."""
        for sink in self._sinks:
            sink.give_to(user, group)

    def close(self) -> None:
        """Write what waits and let go of what was opened for it."""
        for sink in self._sinks:
            sink.close()

    @property
    def stuck(self) -> tuple[str, ...]:
        """The files that could not be begun anew, each with the reason; their old ones go on."""
        return tuple(sink.stuck for sink in self._sinks if sink.stuck)

    def take_lost(self) -> int:
        """Lines that could not be written, counted since the last call; 0 while none can be."""
        lost = 0
        for sink in self._sinks:
            if not sink.failing:
                lost, sink.lost = lost + sink.lost, 0
        return lost


class _Lines:
    """What structlog calls with a finished line, by the name of its level."""

    def __init__(self, stream: SteadyStream) -> None:
        self._stream = stream

    def debug(self, line: str) -> None:
        self._stream.write_line(line, "debug")

    def info(self, line: str) -> None:
        self._stream.write_line(line, "info")

    def warning(self, line: str) -> None:
        self._stream.write_line(line, "warning")

    def error(self, line: str) -> None:
        self._stream.write_line(line, "error")


class Format(Enum):
    TEXT = "text"
    JSON = "json"
    COTURN = "coturn"


_LINES = {Format.TEXT: text_line, Format.JSON: json_line, Format.COTURN: coturn_line}


def _filtering(threshold: Threshold) -> type[FilteringBoundLogger]:
    class Filtering(structlog.make_filtering_bound_logger(logging.DEBUG)):  # type: ignore[misc]
        def is_enabled_for(self, level: int) -> bool:
            return level >= threshold.level

        def get_effective_level(self) -> int:
            return threshold.level

    return Filtering


def make_log(
    style: Format,
    level: int | Threshold = logging.INFO,
    stream: SteadyStream | None = None,
    now: Callable[[], str] | None = None,
) -> FilteringBoundLogger:
    """A logger that writes to `stream` (stderr); entries under `level` are dropped first of
    all, and who has many asks `is_enabled_for`.

    `now`: tells the time of a line; by default in ISO 8601, in UTC or as coturn has it. JSON has
    always the former.
    """
    threshold = level if isinstance(level, Threshold) else Threshold(level)
    if now is None or style is Format.JSON:
        now = LocalTime(COTURN_TIME) if style is Format.COTURN else UtcTime()
    log: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(stream or SteadyStream(sys.stderr)),
        processors=[Record(threshold, now, _LINES[style])],
        wrapper_class=_filtering(threshold),
    ).bind()
    return log
