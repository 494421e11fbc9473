"""The kernel forwards channels between a client and a peer, and nothing else or longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import REPOSITORY, program
from tests.xdp.in_kernel import FORBIDDEN

ALONE = ["unshare", "--net"]


def test_the_kernel_forwards_channels_for_as_long_as_the_server_would(tmp_path: Path) -> None:
    program("tcpdump")
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets us make no network namespace")
    command = [*ALONE, sys.executable, "-m", "tests.xdp.in_kernel", str(tmp_path)]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if run.returncode == FORBIDDEN:
        pytest.skip("this system lets us load no program")
    assert run.returncode == 0, run.stderr
