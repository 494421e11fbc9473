"""What the process asks of the system and of the interpreter before it serves."""

from __future__ import annotations

import contextlib
import gc
import resource


def raise_open_files_limit() -> None:
    """Every allocation holds a socket: take as many as the system grants without asking."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def settle_memory() -> None:
    """What stands now stays: the collector need not look at it again, and seldom at the rest,
    which lives and dies with its requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
