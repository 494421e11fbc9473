"""What must stay whole and does not fit is told to the client; what may be taken apart is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import REPOSITORY

# A user namespace of its own as well: then it takes no privileges, where the system permits it.
ALONE = ["unshare", "--user", "--map-root-user", "--net"]


def test_a_packet_with_df_that_no_link_takes_is_told_of(tmp_path: Path) -> None:
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network namespace")
    command = [*ALONE, sys.executable, "-m", "tests.running.small_link", str(tmp_path)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
