"""A guide's turnserver.conf, and the command that the guide tests its server with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.interop.uclient import start_uclient
from tests.servers import start_server

pytestmark = pytest.mark.interop

SECRET: Final = "b6f0a3c5d2e94817a0c6f5e3d1b28974c0ffee00112233445566778899aabbcc"

GUIDE: Final = [
    "fingerprint",
    "use-auth-secret",
    f"static-auth-secret={SECRET}",
    "realm=your.domain.org",
    "total-quota=0",
    "bps-capacity=0",
    "stale-nonce",
    "no-multicast-peers",
]

# Not in the guide: everything is on one machine here, and Debian's client is an old one.
HERE: Final = ["allow-loopback-peers", "rfc5766-channel-numbers"]

SHOWN_BY_THE_GUIDE: Final = [
    "IPv4. Connected from: 127.0.0.1:",
    "IPv4. Connected to: 127.0.0.1:",
    "allocate sent",
    "allocate response received:",
    "success",
    "IPv4. Received relay addr: ",
    "Total transmit time is ",
    "Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)",
]


@pytest.mark.parametrize("flags", [[], ["-t"]], ids=["udp", "tcp"])
def test_the_guides_own_check_passes(flags: list[str], tmp_path: Path) -> None:
    with start_server([*GUIDE, *HERE], tmp_path, addresses=()) as server:
        command = ["-p", str(server.port), "-W", SECRET, "-v", "-y", *flags, "127.0.0.1"]
        report = start_uclient(command, tmp_path / "output.txt").report()
    report.shows_that_nothing_was_lost(messages=20, octets=20 * 100)
    for line in SHOWN_BY_THE_GUIDE:
        assert line in report.text, report.text
