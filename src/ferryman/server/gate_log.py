"""What the datapath kept from the engine, written down: one line a second and reason.

Knows the datapath's counters by name; counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from ferryman.engine.journal import Silence

SECONDS = 1.0

_SILENCES = {
    "dropped_too_many_strangers": Silence.TOO_MANY.value,
    "dropped_no_short_answer": Silence.TOO_SMALL.value,
}
_UNTOLD = {
    "untold_bindings": "Binding requests",
    "untold_drops": "dropped packets",
}
_QUEUE_FULL = "dropped_queue_full"


class GateLog:
    """`counters` tells what has been counted since the start (see `_native.pyi`)."""

    def __init__(self, counters: Callable[[], dict[str, int]], log: FilteringBoundLogger) -> None:
        self._counters = counters
        self._log = log
        self._told: dict[str, int] = {}

    def tell(self) -> None:
        """Account for what has been dropped since the last time."""
        counters = self._counters()
        for name, why in _SILENCES.items():
            count = self._news(name, counters)
            if count:
                self._log.warning("strangers got no answer", count=count, why=why)
        count = self._news(_QUEUE_FULL, counters)
        if count:
            self._log.warning("requests were dropped: too many wait for a decision", count=count)
        for name, what in _UNTOLD.items():
            count = self._news(name, counters)
            if count:
                self._log.info(f"{what} not logged one by one", count=count)

    def _news(self, name: str, counters: dict[str, int]) -> int:
        count = counters[name]
        news = count - self._told.get(name, 0)
        self._told[name] = count
        return news
