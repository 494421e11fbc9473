"""The kernel program that is kept in the tree is what its source makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers import REPOSITORY

ROOM = REPOSITORY / "native" / "xdp"


def test_the_object_is_what_the_pinned_compiler_makes_of_the_source(tmp_path: Path) -> None:
    made = tmp_path / "ferryman.o"
    subprocess.run([ROOM / "program" / "build", made], check=True)
    kept = ROOM / "object" / "ferryman.o"
    assert made.read_bytes() == kept.read_bytes(), "run native/xdp/program/build"
