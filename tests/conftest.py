"""Hypothesis profiles (quick for every run, deep for `make fuzz`) and the options of
`tests/conformance`."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_report_header() -> str:
    """Which client of others', beside our own, asks for two relayed addresses at once."""
    newer = os.environ.get("FERRYMAN_TEST_UCLIENT")
    return f"uclient for -Z: {newer or 'the one on PATH alone (FERRYMAN_TEST_UCLIENT is not set)'}"


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
