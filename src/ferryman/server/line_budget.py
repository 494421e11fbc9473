"""How many lines of the log each source may cause in a second.

A client with a password can open and close allocations as fast as it likes, and install
permissions, which a verbose log shows. Knows no line.
"""

from __future__ import annotations

from ferryman.engine.source import source_of, source_text

LINES_PER_SECOND = 100
"""For one source. A company behind one address opens fewer allocations."""

SOURCES = 4096
"""So many have a count of their own in a second; all others share one."""

_OTHERS = b""


class LineBudget:
    """Counts in one second; `renew` begins the next."""

    def __init__(self) -> None:
        self._lines: dict[bytes, int] = {}

    def allows(self, ip: bytes) -> bool:
        """Whether one more line of this raw IP's source is written; it is counted in any case."""
        source = source_of(ip)
        if source not in self._lines and len(self._lines) >= SOURCES:
            source = _OTHERS
        count = self._lines.get(source, 0) + 1
        self._lines[source] = count
        return count <= LINES_PER_SECOND

    def renew(self) -> list[tuple[str, int]]:
        """Whose lines were not written since the last time, and how many; no more than a few are
        named."""
        beyond = {
            source: count - LINES_PER_SECOND
            for source, count in self._lines.items()
            if count > LINES_PER_SECOND
        }
        self._lines.clear()
        return _told(beyond)


_NAMED = 5


def _told(beyond: dict[bytes, int]) -> list[tuple[str, int]]:
    most_first = sorted(beyond, key=beyond.__getitem__, reverse=True)
    named = [source for source in most_first if source != _OTHERS][:_NAMED]
    told = [(source_text(source), beyond.pop(source)) for source in named]
    return [*told, ("others", sum(beyond.values()))] if beyond else told
