"""Servers that share `stateless-nonce-secret` take each other's nonces, and their own of before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running.conftest import ACCOUNTS
from tests.servers import RunningServer, start_server
from tests.turn_client import TurnClient

SECRET = "stateless-nonce-secret=long-enough-for-a-test"
OTHER = "stateless-nonce-secret=another-for-another-fleet"


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def code_elsewhere(client: TurnClient, server: RunningServer) -> int:
    """What another server says to a client that knows the first one's nonce."""
    client.socket.connect(("127.0.0.1", server.port))
    return client.allocate().code


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [([SECRET], [SECRET], 0), ([SECRET], [OTHER], 438), ([SECRET], [], 438), ([], [], 438)],
)
def test_a_nonce_is_good_wherever_its_secret_is(
    tmp_path: Path, one: list[str], other: list[str], code: int
) -> None:
    with (
        start_server([*ACCOUNTS, *one], folder(tmp_path, "one")) as first,
        start_server([*ACCOUNTS, *other], folder(tmp_path, "other")) as second,
        TurnClient(first.port, "alice", "sesame") as client,
    ):
        client.challenge()
        assert code_elsewhere(client, second) == code
        assert SECRET.partition("=")[2] not in first.log + second.log


def test_a_nonce_outlives_its_server(tmp_path: Path) -> None:
    with start_server([*ACCOUNTS, SECRET], folder(tmp_path, "one")) as first:
        client = TurnClient(first.port, "alice", "sesame")
        client.challenge()
    with start_server([*ACCOUNTS, SECRET], folder(tmp_path, "other")) as second, client:
        assert code_elsewhere(client, second) == 0
