"""Hypothesis profiles (quick for every run, deep for `make fuzz`) and the options of
`tests/conformance`."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from ferryman.auth import sources
from ferryman.datapath import door
from ferryman.engine import decision
from ferryman.server import pump
from ferryman.wire import message

settings.register_profile(
    "quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_report_header() -> list[str]:
    """Which client of others', beside our own, asks for two relayed addresses at once, and whether
    it is the compiled engine that is tested."""
    newer = os.environ.get("FERRYMAN_TEST_UCLIENT")
    return [
        f"uclient for -Z: {newer or 'the one on PATH alone (FERRYMAN_TEST_UCLIENT is not set)'}",
        f"engine: {'compiled' if _is_compiled(decision) else 'interpreted'}",
    ]


def pytest_sessionstart() -> None:
    """Tests of what was compiled must not run what was not: a module of each room is looked at."""
    wanted = os.environ.get("FERRYMAN_TEST_COMPILED")
    for module in (message, decision, sources, door, pump) if wanted else ():
        if not _is_compiled(module) or not Path(module.__file__ or "").is_relative_to(str(wanted)):
            pytest.exit(f"{module.__name__} is not the one compiled in {wanted}", returncode=2)


def _is_compiled(module: ModuleType) -> bool:
    return not (module.__file__ or "").endswith(".py")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "the server that tests/conformance is run against")
    group.addoption("--server", metavar="HOST:PORT", help="its address; default: a new Ferryman")
    group.addoption("--secret", help="its shared secret for time-limited credentials")
    group.addoption(
        "--user",
        action="append",
        default=[],
        metavar="NAME:PASSWORD",
        help="a user of it, and again for a second one; instead of the secret or besides",
    )
    group.addoption("--tls-port", type=int, metavar="PORT", help="its port for TLS")
