"""Access tokens at a running server (RFC 7635), with keys of the file and of a coturn database."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ferryman.auth.access_token import TokenKey
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from tests.answer import Answer
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import RunningServer, start_server
from tests.store.test_oauth_keys import write
from tests.tokens import MAC_KEY, NORTH, SERVER_NAME, UNION, oauth_key_line, seal
from tests.turn_client import UDP_TRANSPORT, TurnClient

LATE = TokenKey("late", NORTH.algorithm, bytes(range(100, 132)), None)


def row(key: TokenKey) -> tuple[object, ...]:
    ikm = base64.b64encode(key.key).decode()
    return (key.kid, ikm, 0, 0, key.algorithm.name, "")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("turndb") / "turndb", row(UNION))


@pytest.fixture(scope="module")
def server(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    lines = [
        *ACCOUNTS,
        "oauth",
        f"server-name={SERVER_NAME}",
        oauth_key_line(NORTH),
        f"userdb={database}",
    ]
    with start_server(lines, tmp_path_factory.mktemp("oauth")) as running:
        yield running


def allocate(server: RunningServer, key: TokenKey, kid: str | None = None) -> Answer:
    with TurnClient(server.port, kid or key.kid, "") as client:
        client.challenge()
        token = seal(key, time.time())
        for _ in range(2):  # the first nonce may be none, to spare room
            packet = encode(
                MessageClass.REQUEST,
                Method.ALLOCATE,
                os.urandom(12),
                (
                    UDP_TRANSPORT,
                    (Attribute.ACCESS_TOKEN, token),
                    (Attribute.USERNAME, client.username.encode()),
                    (Attribute.REALM, client.realm.encode()),
                    (Attribute.NONCE, client.nonce),
                ),
                key=MAC_KEY,
            )
            answer = client.ask(packet)
            if answer.code != 438:
                break
            client.nonce = answer.message.first(Attribute.NONCE) or b""
        return answer


def test_keys_of_the_file_and_of_the_database_open_tokens(server: RunningServer) -> None:
    for key in (NORTH, UNION):
        answer = allocate(server, key)
        assert answer.code == 0
        assert answer.message.verifies(MAC_KEY)


def test_an_unknown_kid_is_refused_and_the_log_says_why(server: RunningServer) -> None:
    assert allocate(server, NORTH, "nobody").code == 401
    assert logged(server, "no long-term key has this kid")


def test_a_key_that_comes_into_the_database_is_known_soon(
    server: RunningServer, database: Path
) -> None:
    assert allocate(server, LATE).code == 401
    with closing(sqlite3.connect(database)) as writer, writer:
        writer.execute("INSERT INTO oauth_key VALUES (?, ?, ?, ?, ?, ?)", row(LATE))
    until = time.monotonic() + 20
    while allocate(server, LATE).code != 0:
        assert time.monotonic() < until, "the database is looked at every 5 seconds"
        time.sleep(0.2)


def test_no_key_is_in_the_log(server: RunningServer) -> None:
    for key in (NORTH, UNION, LATE):
        assert base64.b64encode(key.key).decode() not in server.log
        assert key.key.hex() not in server.log
    assert "oauth_keys=1" in server.log


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "unable to open database file"), (b"nothing of the kind" * 99, "not a database")],
)
def test_a_database_that_cannot_be_read_ends_the_start_with_one_line(
    content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    database, file = tmp_path / "turndb", tmp_path / "turnserver.conf"
    if content is not None:
        database.write_bytes(content)
    file.write_text(f"oauth\nuserdb={database}\nlistening-ip=127.0.0.1\nlistening-port=0\n")
    command = [str(Path(sys.executable).with_name("ferryman")), "serve", "-c", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    errors = [line for line in ended.stderr.splitlines() if " error " in line]
    assert len(errors) == 1
    assert f"userdb {database} cannot be read: " in errors[0]
    assert complaint in errors[0]
    assert "Traceback" not in ended.stderr
