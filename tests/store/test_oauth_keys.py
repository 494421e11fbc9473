"""Long-term keys from a coturn database: its own schema, its own test keys, and what is wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ferryman.auth.access_token import Algorithm
from ferryman.store import oauth_keys
from ferryman.store.oauth_keys import OauthKeys, StoreError, read_oauth_keys

# As coturn's turndb/schema.sql makes it.
SCHEMA = (
    "CREATE TABLE oauth_key (kid varchar(128), ikm_key varchar(256), timestamp bigint default 0, "
    "lifetime integer default 0, as_rs_alg varchar(64) default '', realm varchar(127), "
    "primary key (kid))"
)
Row = tuple[object, ...]
# What coturn's test databases hold.
NORTH: Row = (
    "north",
    "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK",
    0,
    0,
    "A256GCM",
    "crinna.org",
)
UNION: Row = ("union", "MTIzNDU2Nzg5MDEyMzQ1Ngo=", 0, 0, "A128GCM", "north.gov")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A name that is awkward in a URI."""
    return tmp_path / "turn db?#%41.sqlite"


def write(path: Path, *rows: Row) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE IF EXISTS oauth_key")
        database.execute(SCHEMA)
        database.executemany("INSERT INTO oauth_key VALUES (?, ?, ?, ?, ?, ?)", rows)
    return path


def test_coturns_own_test_keys_are_read(path: Path) -> None:
    keys, problems = read_oauth_keys(write(path, NORTH, UNION))
    assert problems == ()
    assert {kid: key.algorithm for kid, key in keys.items()} == {
        "north": Algorithm.A256GCM,
        "union": Algorithm.A128GCM,
    }
    assert keys["north"].key == b"01234567890123456789012345678901"
    assert keys["union"].key == b"1234567890123456"
    assert keys["union"].expires is None


def test_a_key_has_its_lifetime(path: Path) -> None:
    row = ("k", UNION[1], 1_000, 50, "a128gcm", None)
    key = read_oauth_keys(write(path, row)).keys["k"]
    assert (key.algorithm, key.expires) == (Algorithm.A128GCM, 1_050)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((None, *UNION[1:]), "expected a kid"),
        (("", *UNION[1:]), "expected a kid"),
        ((b"blob", *UNION[1:]), "expected a kid"),
        (("k", "not base64!", *UNION[2:]), "expected ikm_key in base64"),
        (("k", None, *UNION[2:]), "A128GCM takes a key of 16 bytes"),
        (("k", "", *UNION[2:]), "A128GCM takes a key of 16 bytes"),
        (("k", "MTIz", *UNION[2:]), "A128GCM takes a key of 16 bytes"),
        (("k", UNION[1], "soon", 0, "A128GCM", ""), "expected timestamp and lifetime in seconds"),
        (("k", UNION[1], 0, -1, "A128GCM", ""), "expected timestamp and lifetime in seconds"),
        (("k", UNION[1], 0, 0, "A256SHA1", ""), "expected as_rs_alg A128GCM or A256GCM"),
        (("k", UNION[1], 0, 0, None, ""), "expected as_rs_alg A128GCM or A256GCM"),
    ],
)
def test_a_row_that_is_no_key_is_named_and_the_others_count(
    path: Path, row: Row, complaint: str
) -> None:
    keys, problems = read_oauth_keys(write(path, row, NORTH))
    assert set(keys) == {"north"}
    assert len(problems) == 1
    assert complaint in problems[0]
    assert "MTIz" not in problems[0]


def test_there_is_an_end_to_what_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth_keys, "MAX_KEYS", 2)
    rows = [(f"k{number}", *UNION[1:]) for number in range(3)]
    keys, problems = read_oauth_keys(write(path, *rows))
    assert len(keys) == 2
    assert problems == ("oauth_key has more than 2 rows; the rest is not read",)


def test_a_missing_database_is_one_clear_line_and_none_is_made(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: unable to open database file"):
        read_oauth_keys(path)
    assert not path.exists()


def test_what_is_no_database_is_one_clear_line(path: Path) -> None:
    path.write_bytes(b"user=alice:sesame\n" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        read_oauth_keys(path)


def test_a_database_without_the_table_is_one_clear_line(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE turn_secret (realm, value)")
    with pytest.raises(StoreError, match="no such table: oauth_key"):
        read_oauth_keys(path)


def test_a_locked_database_is_waited_for_and_then_one_clear_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth_keys, "BUSY_SECONDS", 0.05)
    write(path, NORTH)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="database is locked"):
            read_oauth_keys(path)
    assert "north" in read_oauth_keys(path).keys


def test_it_is_read_again_when_it_has_changed_and_only_then(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = OauthKeys(write(path, NORTH))
    assert database.read() == ()
    assert database.key("north") is not None
    assert database.key("union") is None
    reads = 0

    def counted(where: Path) -> oauth_keys.Table:
        nonlocal reads
        reads += 1
        return read_oauth_keys(where)

    monkeypatch.setattr(oauth_keys, "read_oauth_keys", counted)
    assert database.read() == ()
    assert reads == 0
    write(path, UNION)
    database.read()
    assert (reads, database.key("north")) == (1, None)
    assert database.key("union") is not None


def test_a_change_that_waits_in_the_write_ahead_log_is_seen(path: Path) -> None:
    write(path, NORTH)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        database = OauthKeys(path)
        database.read()
        with writer:
            writer.execute("INSERT INTO oauth_key VALUES (?, ?, ?, ?, ?, ?)", UNION)
        database.read()
        assert database.key("union") is not None


def test_keys_stay_while_the_database_is_gone(path: Path) -> None:
    database = OauthKeys(write(path, NORTH))
    database.read()
    path.unlink()
    for _ in range(2):
        with pytest.raises(StoreError):
            database.read()
    assert database.key("north") is not None
    write(path, UNION)
    database.read()
    assert (database.key("north"), len(database)) == (None, 1)


def test_what_is_wrong_with_its_rows_is_said_once(path: Path) -> None:
    database = OauthKeys(write(path, ("k", "", *UNION[2:])))
    assert len(database.read()) == 1
    assert database.read() == ()


def test_nothing_is_written(path: Path) -> None:
    write(path, NORTH)
    path.chmod(0o400)
    before = path.read_bytes(), sorted(path.parent.iterdir())
    read_oauth_keys(path)
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == before
