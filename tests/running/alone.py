"""Programs that need a network of their own, or privileges in it, run in a namespace: there they
take none of the machine's."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import REPOSITORY

# A user namespace of its own as well: then it takes no privileges, where the system permits it.
ALONE = ["unshare", "--user", "--map-root-user", "--net"]


def run_alone(module: str, folder: Path) -> None:
    """Run `python -m module folder` in a network namespace; its failure is the test's."""
    if not may_be_alone():
        pytest.skip("this system lets nobody make a network namespace")
    _run([*ALONE, sys.executable, "-m", module, str(folder)])


def run_alone_or_privileged(module: str, folder: Path) -> None:
    """The same; where nobody may make a namespace, whoever may see IP headers needs none."""
    if may_see_headers() and not may_be_alone():
        _run([sys.executable, "-m", module, str(folder)])
    else:
        run_alone(module, folder)


def may_be_alone() -> bool:
    return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


def may_see_headers() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP):
            return True
    except PermissionError:
        return False


def _run(command: list[str]) -> None:
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
