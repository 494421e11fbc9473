"""The IP headers of relayed packets: what no clause asks for is not touched."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.clause import clause
from tests.running.alone import run_alone_or_privileged

OPTIONS = "native/udp/src/options.rs"


@clause("RFC 8656 §14", "DF is set for DONT-FRAGMENT and for nothing else", OPTIONS)
@clause("RFC 8656 §14", "TTL, DSCP and ECN of relayed packets are the system's own", OPTIONS)
@clause("RFC 8656 §15", "so they are for a client over TCP", OPTIONS)
def test_df_is_set_for_whoever_asks_and_the_rest_is_the_systems(tmp_path: Path) -> None:
    run_alone_or_privileged("tests.running.headers", tmp_path)
