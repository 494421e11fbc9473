"""The secret of time-limited credentials that a server without a configuration makes for itself.

Lies in the state folder, readable by its owner only. Knows nothing of how credentials are made.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

FILE_NAME = "rest-secret"


class StateSecretError(OSError):
    """The secret cannot be read, made or trusted; the text names the path and the way out."""


def default_state_folder(environment: Mapping[str, str]) -> Path:
    """$STATE_DIRECTORY (systemd's, the first of a list), else the XDG state folder.

    A process without a home has the state folder of a service.
    """
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    state_home = Path(environment.get("XDG_STATE_HOME", ""))
    if state_home.is_absolute():  # the XDG specification: ignore a relative one
        return state_home / "ferryman"
    home = Path(environment.get("HOME", ""))
    return home / ".local/state/ferryman" if home.is_absolute() else Path("/var/lib/ferryman")


def read_or_make(folder: Path) -> SecretStr:
    """The secret of this folder, made on first use (32 random bytes in hexadecimal).

    The folder is made with mode 0700, the file with 0600. Raises StateSecretError.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _made(path)
        except FileExistsError:
            return _read(path)
    except StateSecretError:
        raise
    except OSError as error:
        raise StateSecretError(f"{path}: {error.strerror}; set state-dir") from None


def _made(path: Path) -> SecretStr:
    secret = secrets.token_hex(32)
    # Written under another name and linked: nobody ever reads half a secret, and of two servers
    # that start at once one makes it and the other reads it.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
        os.link(draft, path)
    finally:
        draft.unlink()
    return SecretStr(secret)


def _read(path: Path) -> SecretStr:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StateSecretError(f"{path}: expected a file")
        if status.st_mode & 0o077:
            raise StateSecretError(
                f"{path}: others may read it (mode {stat.S_IMODE(status.st_mode):04o}); "
                "set its mode to 0600, or delete it to have a new one made"
            )
        content = file.read(4096)
    secret = content.decode("ascii", "replace").strip()
    if len(secret) < 32 or not secret.isascii() or not secret.isprintable():
        raise StateSecretError(f"{path}: holds no secret; delete it to have a new one made")
    return SecretStr(secret)
