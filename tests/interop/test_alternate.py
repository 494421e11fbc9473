"""coturn's client follows a 300 to the server that it is sent to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.uclient import start_uclient
from tests.servers import start_server

pytestmark = pytest.mark.interop

ACCOUNT = [
    "realm=ferry.example",
    "user=alice:sesame",
    "allow-loopback-peers",
    "rfc5766-channel-numbers",
]


@pytest.mark.parametrize("flags", [[], ["-t"]], ids=["udp", "tcp"])
def test_every_client_of_the_front_relays_through_the_server_behind(
    tmp_path: Path, flags: list[str]
) -> None:
    (tmp_path / "behind").mkdir()
    (tmp_path / "front").mkdir()
    with start_server(ACCOUNT, tmp_path / "behind") as behind:
        alternate = f"alternate-server=127.0.0.1:{behind.port}"
        with start_server([*ACCOUNT, alternate], tmp_path / "front") as front:
            who = ["-u", "alice", "-w", "sesame", "-p", str(front.port)]
            how = ["-v", "-y", "-n", "5", "-z", "5", "-l", "100", *flags]
            run = start_uclient([*who, *how, "127.0.0.1"], tmp_path / "uclient.txt")
            run.report().shows_that_nothing_was_lost(messages=20, octets=2000)
            assert "allocation opened" not in front.log
            # The client keeps to the other server from then on.
            assert "sent to another server" in front.log
            assert behind.log.count("allocation opened") == 4
