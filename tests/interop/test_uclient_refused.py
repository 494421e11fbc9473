"""coturn's `turnutils_uclient` gets no allocation with a credential that is wrong or too old."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from tests.interop.accounts import PASSWORD, SECRET, USER, time_limited_flags
from tests.interop.conftest import PortFor
from tests.interop.uclient import start_uclient

pytestmark = pytest.mark.interop

A_MINUTE_AGO: Final = int(time.time()) - 60

REFUSED: Final = {
    "static user with a wrong password": ("static", ["-u", USER, "-w", PASSWORD + "x"]),
    "unknown user": ("static", ["-u", "tinker", "-w", PASSWORD]),
    "wrong secret": ("timestamp:user", ["-W", SECRET[::-1], "-u", "jim"]),
    "expired timestamp": ("timestamp:user", time_limited_flags(f"{A_MINUTE_AGO}:jim")),
}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("case", REFUSED)
def test_there_is_no_allocation_for(
    case: str, transport: str, port_for: PortFor, tmp_path: Path
) -> None:
    account, flags = REFUSED[case]
    over = ["-t"] if transport == "tcp" else []
    arguments = ["-v", "-y", "-p", str(port_for(account)), *flags, *over, "127.0.0.1"]
    report = start_uclient(arguments, tmp_path / "output.txt").report()
    report.shows_that_nothing_was_allocated()
