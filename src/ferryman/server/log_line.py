"""How a record of the log reads: as text, as JSON, as coturn's.

Whatever a client put into a name, a record stays one line: anything but plain characters is
escaped as JSON escapes it. Knows not where lines go.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import structlog
from structlog.typing import EventDict, WrappedLogger

Line: TypeAlias = Callable[[str, str, EventDict], str]
"""A line from its time, its level and what was logged."""

_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}
_UNSAFE = re.compile(r"[^ -~]")
_PLAIN = re.compile(r"[A-Za-z0-9_.:,/@+\[\]=-]+")

SENTENCES_REMEMBERED = 128
"""Most records begin with one of a few dozen sentences of ours."""


@dataclass
class Threshold:
    """The lowest level that is logged; may change at any time."""

    level: int = logging.INFO


class Record:
    """The one processor of structlog's: from what was logged to the finished line, or nothing.

    `now` tells the time at the head of the line.
    """

    def __init__(self, threshold: Threshold, now: Callable[[], str], line: Line) -> None:
        self._threshold = threshold
        self._now = now
        self._line = line

    def __call__(self, logger: WrappedLogger, level: str, event: EventDict) -> str:
        if _LEVELS[level] < self._threshold.level:
            raise structlog.DropEvent
        if "exc_info" in event:
            event = structlog.processors.format_exc_info(logger, level, event)
        return self._line(self._now(), level, event)


def text_line(time: str, level: str, event: EventDict) -> str:
    line = f"{time} {level:<7} {_sentence(event.pop('event'))}"
    for name, value in event.items():
        line += f" {name}={_quoted(value)}"
    return line


def coturn_line(time: str, level: str, event: EventDict) -> str:
    """The time, the level and a sentence; a backslash in it stays, for it escapes already."""
    text = _UNSAFE.sub(_as_json, event.pop("event"))
    line = f"{time} {level.upper()} {text}"
    for name, value in event.items():
        line += f" {name}={_quoted(value)}"
    return line


def json_line(time: str, level: str, event: EventDict) -> str:
    head = {"timestamp": time, "level": level, "event": event.pop("event")}
    return _escaped({**head, **event})


def safe(text: str) -> str:
    """A sentence of ours: spaces may stay, the rest is escaped."""
    return _escaped(text)[1:-1]


_sentence = lru_cache(SENTENCES_REMEMBERED)(safe)


def _as_json(found: re.Match[str]) -> str:
    return _escaped(found[0])[1:-1]


def _quoted(value: object) -> str:
    if type(value) is int:
        return str(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else _escaped(text)


def _escaped(value: object) -> str:
    """As JSON, and DEL as well."""
    return json.dumps(value, default=str).replace("\x7f", "\\u007f")
