"""Every configuration of the guides runs: it listens where it says and refuses what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.guide_machine import EXAMPLE, GUIDES, WITH_CERTIFICATE
from tests.servers import REPOSITORY

# A user namespace of its own as well: then it takes no privileges, where the system permits it.
ALONE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


NAMES = sorted([*(path.stem for path in GUIDES.glob("*.conf")), *WITH_CERTIFICATE, EXAMPLE])


@pytest.mark.parametrize("name", NAMES)
def test_a_guides_configuration_listens_and_refuses_as_it_says(tmp_path: Path, name: str) -> None:
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network namespace")
    command = [*ALONE, sys.executable, "-m", "tests.running.guide_machine", str(tmp_path), name]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
