"""How a running server comes to its end: at once, or when its allocations have come to theirs.

Draining: no new allocations, those that are there go on and are refreshed. It is over when few
enough are left, at the deadline, or when somebody loses patience. Knows no signals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from ferryman.engine.settings import SECOND
from ferryman.engine.state import State


class Patience(NamedTuple):
    """`seconds`: how long to drain, 0 for as long as it takes; it is over when no more than
    `allocations` are left."""

    seconds: int = 0
    allocations: int = 0


class Leaving:
    """`patience` is asked when draining begins. `begun` is told then how many seconds it may take,
    0 for any number."""

    def __init__(
        self,
        state: State,
        patience: Callable[[], Patience],
        begun: Callable[[int], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._state = state
        self._patience = patience
        self._begun = begun
        self._log = log
        self._over = asyncio.Event()
        self._deadline: int | None = None
        self._least = 0
        self._terminated = False

    async def wait(self) -> None:
        """Returns when it is time to stop."""
        await self._over.wait()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def stop(self) -> None:
        """Now, whatever is going on."""
        self._over.set()

    def terminate(self, *, now: int) -> None:
        """Drain where there is a deadline for it, else stop; the second time stop."""
        seconds = self._patience().seconds
        if self._terminated or not seconds:
            self.stop()
            return
        self._terminated = True
        if self._state.draining:
            self._go_on(seconds, now=now)
        else:
            self.drain(now=now)

    def drain(self, *, now: int) -> None:
        """Nothing where it has begun."""
        if self._state.draining:
            return
        self._state.draining = True
        seconds, self._least = self._patience()
        self._deadline = now + seconds * SECOND if seconds else None
        self._log.info("draining", allocations=len(self._state.allocations), seconds=seconds)
        self._begun(seconds)
        self.look(now=now)

    def _go_on(self, seconds: int, *, now: int) -> None:
        """Somebody waits for it now. It keeps the deadline that it has, if any."""
        if self._deadline is None:
            self._deadline = now + seconds * SECOND
        self._begun(max(1, -((now - self._deadline) // SECOND)))

    def look(self, *, now: int) -> None:
        """Once a second: is it over?"""
        if not self._state.draining or self.is_over:
            return
        left = len(self._state.allocations)
        is_late = self._deadline is not None and now >= self._deadline
        if left <= self._least or is_late:
            reason = "drain-timeout" if left > self._least else "enough have ended"
            self._log.info("drained", why=reason, allocations=left)
            self.stop()
