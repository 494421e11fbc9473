"""Clients of RFC 8489 at the running server, beside those of RFC 5389 that all others here are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.auth.long_term import long_term_key
from ferryman.auth.time_limited import password_for
from ferryman.wire.registry import Attribute, PasswordAlgorithm
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient

MD5, SHA256 = PasswordAlgorithm.MD5, PasswordAlgorithm.SHA256
OLD_KEY = long_term_key("carol", "ferry.example", "sesame").hex()
USERS = ["realm=ferry.example", "user=alice:sesame", f"user=carol:0x{OLD_KEY}"]

transports = pytest.mark.parametrize("stream", [False, True], ids=["udp", "tcp"])


@pytest.fixture(scope="module")
def users_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server([*USERS, "allow-loopback-peers"], tmp_path_factory.mktemp("users")) as server:
        yield server


def features(client: TurnClient) -> bytes:
    """The four characters of the nonce cookie that say what the server can."""
    nonce = client.challenge().message.first(Attribute.NONCE)
    assert nonce is not None
    assert nonce.startswith(b"obMatJos2")
    return nonce[9:13]


@transports
@pytest.mark.parametrize("userhash", [False, True], ids=["username", "userhash"])
@pytest.mark.parametrize("algorithm", [None, MD5, SHA256])
@pytest.mark.parametrize("sha256", [False, True], ids=["sha-1", "sha-256"])
def test_every_way_to_sign_a_request_relays(
    users_only: RunningServer,
    stream: bool,
    userhash: bool,
    algorithm: PasswordAlgorithm | None,
    sha256: bool,
) -> None:
    with (
        TurnClient(
            users_only.port,
            "alice",
            "sesame",
            stream=stream,
            sha256=sha256,
            userhash=userhash,
            password_algorithm=algorithm,
        ) as client,
        Peer() as peer,
    ):
        answer = client.allocate()
        assert answer.code == 0
        assert client.proves(answer)
        assert answer.message.has_sha256 is (algorithm is not None)
        assert client.bind(0x4000, peer.address).code == 0
        client.send_on(0x4000, b"hello")
        assert peer.receive()[0] == b"hello"
        assert client.refresh(0).code == 0


def test_hashed_names_are_asked_for_where_all_names_are_known(users_only: RunningServer) -> None:
    with TurnClient(users_only.port, "alice", "sesame") as client:
        assert features(client) == b"wAAA"


def test_hashed_names_are_not_asked_for_beside_time_limited_names(tmp_path: Path) -> None:
    with start_server([*USERS, "static-auth-secret=north"], tmp_path) as server:
        with TurnClient(server.port, "alice", "sesame", userhash=True) as client:
            assert features(client) == b"gAAA"
            assert client.allocate().code == 0
        name = f"{int(time.time()) + 60}:dora"
        with TurnClient(
            server.port,
            name,
            password_for(name, "north"),
            sha256=True,
            password_algorithm=SHA256,
        ) as client:
            assert client.proves(client.allocate())


def test_a_user_with_an_md5_key_is_led_to_it(users_only: RunningServer) -> None:
    with TurnClient(
        users_only.port, "carol", "sesame", sha256=True, password_algorithm=SHA256
    ) as client:
        answer = client.allocate()
        assert answer.code == 438
        client.learn(answer)
        client.password_algorithm = MD5
        again = client.allocate()
        assert again.code == 0
        assert client.proves(again)
