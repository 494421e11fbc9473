"""Runs what may take its time in a thread of its own, for which a server that stops does not wait.

Knows nothing of what is run.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T], name: str) -> T:
    """What `work` returns or raises; the event loop goes on meanwhile. `name`: of the thread."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            found = work()
        except Exception as error:
            _tell(loop, answer, answer.set_exception, error)
        else:
            _tell(loop, answer, answer.set_result, found)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer


S = TypeVar("S")


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[T],
    settle: Callable[[S], None],
    said: S,
) -> None:
    def unless_done() -> None:
        if not answer.done():
            settle(said)

    with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
        loop.call_soon_threadsafe(unless_done)
