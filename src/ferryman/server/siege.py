"""Strangers in crowds, while a verbose log tells of each: then the gate answers them again.

A challenge that is a line of the log is given by the engine (`gate`), so that a flood of strangers
would be as dear as one of clients. Knows numbers, and neither packets nor settings.
"""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

SECONDS = 1.0
MANY = 200
"""Challenges by the engine in a second that are a crowd."""
FEW = 100
CALM_SECONDS = 10
"""So long there have to be fewer than FEW in a second until each is told again."""


class Siege:
    """`told`: challenges that the engine has given for the log's sake; `answered`: those of the
    gate; both since the start. `besiege` is called with whether it is one."""

    def __init__(
        self,
        told: Callable[[], int],
        answered: Callable[[], int],
        besiege: Callable[[bool], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._told, self._answered = told, answered
        self._besiege = besiege
        self._log = log
        self._before = (0, 0)
        self._calm: int | None = None

    def look(self) -> None:
        """A chore, once a second."""
        now = self._told(), self._answered()
        told, answered = (new - old for new, old in zip(now, self._before, strict=True))
        self._before = now
        if self._calm is None:
            if told > MANY:
                self._change(True)
        else:
            self._calm = self._calm + 1 if told + answered < FEW else 0
            if self._calm >= CALM_SECONDS:
                self._change(False)

    def _change(self, besieged: bool) -> None:
        self._calm = 0 if besieged else None
        self._besiege(besieged)
        if besieged:
            self._log.warning("strangers come in crowds, their challenges are not logged")
        else:
            self._log.info("challenges are logged again")
