"""Reads something again and again in a thread of its own, so that a slow disk delays no request.

Does not know what is read, only how it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from ferryman.server.aside import aside


class Rereading:
    """A chore: starts a read unless the last one is still going on. Tells the log what is wrong,
    each thing once until it changes."""

    def __init__(
        self,
        read: Callable[[], Sequence[str]],
        failure: type[Exception],
        log: FilteringBoundLogger,
    ) -> None:
        self._read = read
        self._failure = failure
        self._log = log
        self._going_on: asyncio.Task[None] | None = None
        self._failed = ""

    def __call__(self) -> None:
        if self._going_on is None or self._going_on.done():
            self._going_on = asyncio.create_task(self.once())

    async def once(self) -> None:
        """One read, from its start to its line in the log."""
        try:
            problems = await aside(self._read, "rereading")
        except self._failure as error:
            if str(error) != self._failed:
                self._failed = str(error)
                self._log.warning(f"{error}; what was read before holds")
            return
        if self._failed:
            self._log.info("readable again", after=self._failed)
        self._failed = ""
        for problem in problems:
            self._log.warning(problem)
