"""Files that a server without a configuration makes for itself and keeps across starts.

They lie in the state folder, readable by their owner only. Knows nothing of what they hold.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path


class StateFileError(OSError):
    """A file cannot be read, made or trusted; the text names the path and the way out."""


def read_or_make(path: Path, make: Callable[[], str], longest: int) -> str:
    """What the file holds, which `make` says on first use; at most `longest` octets.

    The folder is made with mode 0700, the file with 0600. Raises StateFileError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.is_symlink() and not path.exists():
            try:
                return _made(path, make())
            except FileExistsError:
                pass  # another server was quicker
        return _read(path, longest)
    except StateFileError:
        raise
    except OSError as error:
        raise StateFileError(f"{path}: {error.strerror}; set state-dir") from None


def _made(path: Path, content: str) -> str:
    # Written under another name and linked: nobody ever reads half a file, and of two servers
    # that start at once one makes it and the other reads it.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(content)
        os.link(draft, path)
    finally:
        draft.unlink()
    return content


def _read(path: Path, longest: int) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StateFileError(f"{path}: expected a file")
        if status.st_mode & 0o077:
            raise StateFileError(
                f"{path}: others may read it (mode {stat.S_IMODE(status.st_mode):04o}); "
                "set its mode to 0600, or delete it to have a new one made"
            )
        return file.read(longest).decode("ascii", "replace")
