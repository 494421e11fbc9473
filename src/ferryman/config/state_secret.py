"""The secret of time-limited credentials that a server without a configuration makes for itself.

Lies in the state folder, readable by its owner only. Knows nothing of how credentials are made.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from ferryman.config import state_file
from ferryman.config.state_file import StateFileError

FILE_NAME = "rest-secret"


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

    The folder is made with mode 0700, the file with 0600. Raises StateFileError.
    """
    path = folder / FILE_NAME
    secret = state_file.read_or_make(path, lambda: secrets.token_hex(32) + "\n", 4096).strip()
    if len(secret) < 32 or not secret.isascii() or not secret.isprintable():
        raise StateFileError(f"{path}: holds no secret; delete it to have a new one made")
    return SecretStr(secret)
