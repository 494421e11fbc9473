"""Where the packaging's files are, and a stand-in for systemctl on machines without systemd."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PACKAGING: Final = Path(__file__).parents[2] / "packaging"


def with_systemctl(folder: Path, pid: int) -> Mapping[str, str]:
    """An environment in which `systemctl kill` reaches this process, and all units are active."""
    program = folder / "systemctl"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = kill ] || exit 0\nexec /bin/kill -s "${{2#--signal=}}" {pid}\n'
    )
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
