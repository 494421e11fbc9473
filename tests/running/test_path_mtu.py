"""What must stay whole and does not fit is told to the client; what may be taken apart is."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.clause import clause
from tests.running.alone import run_alone

ERRORS = "native/udp/src/error_queue.rs"


@clause(
    "RFC 8656 §13",
    "DONT-FRAGMENT is ignored between IPv4 and IPv6",
    "native/flow/src/table/packets.rs",
)
@clause("RFC 8656 §14", "a packet with DF that is too long is told in an ICMP attribute", ERRORS)
@clause("RFC 8656 §15", "from TCP to UDP DONT-FRAGMENT counts for either family", ERRORS)
def test_a_packet_with_df_that_no_link_takes_is_told_of(tmp_path: Path) -> None:
    run_alone("tests.running.small_link", tmp_path)
