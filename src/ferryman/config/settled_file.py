"""A file that is read while the server runs, and that somebody may be writing at this moment.

Half a file is a good file to whoever reads it: the rules that were to come would be missing. Knows
nothing of what a file holds.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

FRESH_SECONDS = 1.0
"""A file that was last written longer ago than this is nobody's work in progress."""
PAUSE_SECONDS = 0.05
PATIENCE = 100
"""Pauses, after which a file that goes on changing is given up."""


class UnsettledError(Exception):
    """What is there is not to be read now; the text says why."""


def settled(path: Path, pause: Callable[[float], None] = time.sleep) -> bytes:
    """What the file holds; one that was written just now is read until it stays as it is.

    Raises UnsettledError, and OSError where it cannot be read.
    """
    content, written = _read(path)
    for _ in range(PATIENCE):
        if abs(time.time() - written) > FRESH_SECONDS:
            break
        pause(PAUSE_SECONDS)
        before = content, written
        content, written = _read(path)
        if before == (content, written):
            break
    else:
        raise UnsettledError("it is being written all the time")
    if not content.strip():
        raise UnsettledError("it is empty")
    return content


def open_unblocked(path: Path) -> BinaryIO:
    """For reading, and at once: by now the name may be that of a pipe that nobody writes to."""
    return open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _read(path: Path) -> tuple[bytes, float]:
    with open_unblocked(path) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UnsettledError("expected a file")
        return file.read(), found.st_mtime
