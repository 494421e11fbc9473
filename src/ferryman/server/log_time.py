"""The time at the head of a line of the log, in the forms that can be asked for.

What stays the same for a second is made once a second.
"""

from __future__ import annotations

import re
import time

from ferryman.server.log_line import safe

COTURN_TIME = "%FT%T.%f%z"
_NANOSECONDS = 1_000_000_000


class UtcTime:
    """ISO 8601 in UTC, with microseconds."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        return self.text(time.time_ns())

    def text(self, now: int) -> str:
        """The text for a time in nanoseconds since 1970."""
        second, rest = divmod(now, _NANOSECONDS)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._text}.{rest // 1000:06}Z"


class SecondsSinceStart:
    """The time of a line as coturn has it with `new-log-timestamp=no`."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self) -> str:
        return str(int(time.monotonic() - self._start))


class LocalTime:
    """The local time in a form of strftime's; `%f` stands for the milliseconds, as in coturn."""

    def __init__(self, form: str) -> None:
        self._parts = _between_milliseconds(form)
        self._second = -1
        self._texts: list[str] = []

    def __call__(self) -> str:
        return self.text(time.time_ns())

    def text(self, now: int) -> str:
        """The text for a time in nanoseconds since 1970. Made once a second but for `%f`."""
        second, rest = divmod(now, _NANOSECONDS)
        if second != self._second:
            local = time.localtime(second)
            self._texts = [safe(time.strftime(part, local)) for part in self._parts]
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
