"""One line per event on stderr, readable or JSON (structlog does the work).

Whatever a client put into a name, a record stays one line: anything but plain characters is
escaped as JSON escapes it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from enum import Enum
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

_PLAIN = re.compile(r"[A-Za-z0-9_.:,/@+\[\]=-]+")


class SteadyStream:
    """A stream that nobody can break: what cannot be written (a closed pipe, a full disk) is
    dropped, for no log line is worth a call.

    Each line leaves at once, but for those written inside `hold`, which leave together.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
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

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        if self._held:
            return
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class Format(Enum):
    TEXT = "text"
    JSON = "json"


def make_log(
    style: Format, level: int = logging.INFO, stream: SteadyStream | None = None
) -> FilteringBoundLogger:
    """A logger that writes to `stream` (stderr); entries under `level` cost nearly nothing."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    last = _text if style is Format.TEXT else _json
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(cast(TextIO, stream or SteadyStream(sys.stderr))),
        processors=[stamp, structlog.processors.format_exc_info, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return log


def _text(_: WrappedLogger, level: str, event: EventDict) -> str:
    line = f"{event.pop('timestamp')} {level:<7} {_safe(event.pop('event'))}"
    for name, value in event.items():
        line += f" {name}={_quoted(value)}"
    return line


def _json(_: WrappedLogger, level: str, event: EventDict) -> str:
    head = {"timestamp": event.pop("timestamp"), "level": level, "event": event.pop("event")}
    return json.dumps({**head, **event}, default=str)


def _quoted(value: object) -> str:
    if type(value) is int:
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _safe(text: str) -> str:
    """A sentence of ours: spaces may stay, the rest is escaped."""
    return json.dumps(text)[1:-1]
