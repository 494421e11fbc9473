"""The file with the process id (`pidfile`): there while the server serves."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from structlog.typing import FilteringBoundLogger


class PidFile:
    """`path` None: there is to be none."""

    def __init__(self, path: Path | None, log: FilteringBoundLogger) -> None:
        self._path = path
        self._log = log

    def write(self) -> None:
        """Write this process's id over whatever is there; if that cannot be, one line says so."""
        if self._path is None:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            with open(os.open(self._path, flags, 0o644), "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            self._log.warning(f"pidfile: {self._path} cannot be written: {error.strerror}")

    def remove(self) -> None:
        """Unless another server has written its own id, or the folder belongs to somebody else."""
        if self._path is None:
            return
        with contextlib.suppress(OSError, ValueError):
            if int(self._path.read_text(encoding="ascii")) == os.getpid():
                self._path.unlink()
