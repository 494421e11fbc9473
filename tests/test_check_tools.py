"""A missing tool is one clear line with the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "check-tools"


def complaints(folder: Path, **tools: str) -> list[str]:
    """What the script says on a machine whose programs are these scripts, and it must fail."""
    for name, text in tools.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    for name in ("awk", "sort", "head"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/bash", str(SCRIPT)],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert not done.stdout
    return done.stderr.splitlines()


PYTHON = f'exec {sys.executable} "$@"'
CARGO = "echo cargo 1.90.0"
OLD_CARGO = "echo cargo 1.66.0"


@pytest.mark.parametrize(
    ("tools", "missing", "remedy"),
    [
        ({"python3": PYTHON, "cc": ""}, "cargo", "rustup.rs"),
        (
            {"python3": PYTHON, "cc": "", "cargo": "echo cargo 1.66.0"},
            "1.66.0 is too old",
            "rustup",
        ),
        ({"python3": PYTHON, "cargo": CARGO}, "C linker", "apt-get install gcc"),
        ({"cargo": CARGO, "cc": ""}, "Python 3.11", "apt-get install python3 python3-venv"),
        (
            {"python3": 'case "$2" in *venv*) exit 1;; esac', "cargo": CARGO, "cc": ""},
            "venv",
            "apt-get install python3-venv",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    tmp_path: Path, tools: dict[str, str], missing: str, remedy: str
) -> None:
    (line,) = complaints(tmp_path, **tools)
    assert line.startswith("ferryman: ")
    assert missing in line
    assert remedy in line
