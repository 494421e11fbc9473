"""One line an event, readable or JSON (structlog does the work), to every place that was asked for.

Whatever a client put into a name, a record stays one line: anything but plain characters is
escaped as JSON escapes it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from ferryman.server.sinks import Sink, StandardStream

COTURN_TIME = "%FT%T.%f%z"
_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}
_UNSAFE = re.compile(r"[^ -~]")
_PLAIN = re.compile(r"[A-Za-z0-9_.:,/@+\[\]=-]+")


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


@dataclass
class Threshold:
    """The lowest level that is logged; may change at any time."""

    level: int = logging.INFO

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        if _LEVELS[level] < self.level:
            raise structlog.DropEvent
        return event


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
    stamp: Processor | None = None,
) -> FilteringBoundLogger:
    """A logger that writes to `stream` (stderr); entries under `level` are dropped first of
    all, and who has many asks `is_enabled_for`.

    `stamp`: writes the time of a line; by default ISO 8601, in UTC or as coturn has it. JSON has
    always the former.
    """
    threshold = level if isinstance(level, Threshold) else Threshold(level)
    if stamp is None or style is Format.JSON:
        iso = structlog.processors.TimeStamper(fmt="iso", utc=True)
        stamp = LocalTime(COTURN_TIME) if style is Format.COTURN else iso
    log: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(stream or SteadyStream(sys.stderr)),
        processors=[
            threshold,
            stamp,
            structlog.processors.format_exc_info,
            {Format.TEXT: _text, Format.JSON: _json, Format.COTURN: _coturn}[style],
        ],
        wrapper_class=_filtering(threshold),
        cache_logger_on_first_use=True,
    )
    return log


class SecondsSinceStart:
    """The time of a line as coturn has it with `new-log-timestamp=no`."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        event["timestamp"] = str(int(time.monotonic() - self._start))
        return event


class LocalTime:
    """The local time in a form of strftime's; `%f` stands for the milliseconds, as in coturn."""

    def __init__(self, form: str) -> None:
        self._parts = _between_milliseconds(form)
        self._second = -1
        self._texts: list[str] = []

    def __call__(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        event["timestamp"] = self.text(time.time_ns())
        return event

    def text(self, now: int) -> str:
        """The text for a time in nanoseconds since 1970. Made once a second but for `%f`."""
        second, rest = divmod(now, 1_000_000_000)
        if second != self._second:
            local = time.localtime(second)
            self._texts = [_safe(time.strftime(part, local)) for part in self._parts]
            self._second = second
        return f"{rest // 1_000_000:03}".join(self._texts)


def _between_milliseconds(form: str) -> list[str]:
    """What stands around each %f; `%%f` is none. A lone % at the end is one that is shown."""
    parts = [""]
    for piece in re.findall("%.|%|[^%]+", form, re.DOTALL):
        if piece == "%f":
            parts.append("")
        else:
            parts[-1] += "%%" if piece == "%" else piece
    return parts


def _text(_: WrappedLogger, level: str, event: EventDict) -> str:
    line = f"{event.pop('timestamp')} {level:<7} {_safe(event.pop('event'))}"
    for name, value in event.items():
        line += f" {name}={_quoted(value)}"
    return line


def _coturn(_: WrappedLogger, level: str, event: EventDict) -> str:
    """The time, the level and a sentence; a backslash in it stays, for it escapes already."""
    text = _UNSAFE.sub(_as_json, event.pop("event"))
    line = f"{event.pop('timestamp')} {level.upper()} {text}"
    for name, value in event.items():
        line += f" {name}={_quoted(value)}"
    return line


def _as_json(found: re.Match[str]) -> str:
    return _escaped(found[0])[1:-1]


def _json(_: WrappedLogger, level: str, event: EventDict) -> str:
    head = {"timestamp": event.pop("timestamp"), "level": level, "event": event.pop("event")}
    return _escaped({**head, **event})


def _quoted(value: object) -> str:
    if type(value) is int:
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else _escaped(text)


def _safe(text: str) -> str:
    """A sentence of ours: spaces may stay, the rest is escaped."""
    return _escaped(text)[1:-1]


def _escaped(value: object) -> str:
    """As JSON, and DEL as well."""
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")
