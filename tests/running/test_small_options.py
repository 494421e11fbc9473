"""Keys with one effect each, as the running server shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running.conftest import ACCOUNTS
from tests.servers import answers, free_port, start_server
from tests.turn_client import TurnClient


@pytest.mark.parametrize("stream", [False, True])
def test_aux_server_is_one_more_place_to_come_to(tmp_path: Path, stream: bool) -> None:
    more = free_port()
    with (
        start_server([*ACCOUNTS, f"aux-server=127.0.0.1:{more}"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame", stream=stream) as first,
        TurnClient(more, "alice", "sesame", stream=stream) as second,
    ):
        assert first.relayed() != second.relayed()


def test_stun_only_answers_binding_and_no_turn_request(tmp_path: Path) -> None:
    with (
        start_server(["stun-only"], tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        with pytest.raises(TimeoutError):
            client.allocate()
        assert answers(server.port)
    assert "no credentials" not in server.log
