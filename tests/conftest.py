"""Hypothesis profiles: quick for every run, deep for `make fuzz`."""

from __future__ import annotations

import os

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
