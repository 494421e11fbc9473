"""max-bps and bps-capacity together: what has no effect is said, and nothing refuses to start."""

from __future__ import annotations

import pytest

from tests.config.reading import Reading


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["max-bps=1000"], []),
        (["max-bps=1000", "bps-capacity=1000"], []),
        (["max-bps=0", "bps-capacity=0"], []),
        (["bps-capacity=5"], ["warning: turnserver.conf:2: bps-capacity: without max-bps it has no "
                              "effect"]),
        (["max-bps=0", "bps-capacity=5"], ["warning: turnserver.conf:3: bps-capacity: without "
                                           "max-bps it has no effect"]),
        (["max-bps=6", "bps-capacity=5"], ["warning: turnserver.conf:3: bps-capacity: less than "
                                           "max-bps=6: no client will get an allocation"]),
    ],
)  # fmt: skip
def test_a_capacity_without_portions_is_one_warning(
    reading: Reading, lines: list[str], said: list[str]
) -> None:
    notices = reading.notices(reading.lines(*lines))
    assert [notice for notice in notices if "bps" in notice] == said
