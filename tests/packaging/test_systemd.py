"""The unit is one that systemd takes, and as closed as it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.packaging.files import PACKAGING
from tests.servers import program

UNIT = PACKAGING / "systemd/ferryman.service"


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # The program is not installed where the unit looks for it: verify would say that alone.
    unit = tmp_path / "ferryman.service"
    unit.write_text(UNIT.read_text().replace("ExecStart=/usr/bin/ferryman", "ExecStart=/bin/true"))
    found = analyzed("verify", "--man=no", str(unit))
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_systemd_rates_the_service_as_well_closed() -> None:
    found = analyzed("security", "--offline=true", "--threshold=20", str(UNIT))
    assert found.returncode == 0, found.stdout + found.stderr


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [program("systemd-analyze"), "--no-pager", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
