"""Long-term keys of third-party authorization from the `oauth_key` table of a coturn database in
SQLite, which is read and never written.

The whole table is read ahead, so that no request waits for a file. Knows no token and no request.
"""

from __future__ import annotations

import binascii
import sqlite3
from base64 import b64decode
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from ferryman.auth.access_token import Algorithm, TokenKey

MAX_KEYS: Final = 4096
"""Rows that are read; an operator has a handful."""

BUSY_SECONDS: Final = 2.0
_QUERY: Final = "SELECT kid, ikm_key, timestamp, lifetime, as_rs_alg FROM oauth_key LIMIT ?"

Stamp = tuple[int, ...]


class StoreError(Exception):
    """A database cannot be read; the text says which and why."""


class Table(NamedTuple):
    """What was read: keys by their kid, and a word on each row that is none (without its key)."""

    keys: Mapping[str, TokenKey]
    problems: tuple[str, ...]


def read_oauth_keys(path: Path) -> Table:
    """The whole table; waits BUSY_SECONDS for a lock. Raises StoreError."""
    try:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)) as database:
            rows = database.execute(_QUERY, (MAX_KEYS + 1,)).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"userdb {path} cannot be read: {error}") from None
    return _table(rows)


def stamp(path: Path) -> Stamp:
    """Changes whenever the database may have; empty while there is no file."""
    found: list[int] = []
    for name in (path, path.with_name(path.name + "-wal")):
        try:
            status = name.stat()
        except OSError:
            continue
        found += (status.st_ino, status.st_size, status.st_mtime_ns)
    return tuple(found)


def _table(rows: list[tuple[object, ...]]) -> Table:
    keys: dict[str, TokenKey] = {}
    problems: list[str] = []
    for row in rows[:MAX_KEYS]:
        try:
            key = _key(*row)
        except ValueError as error:
            problems.append(f"oauth_key {str(row[0])[:128]!r}: {error}")
        else:
            keys[key.kid] = key
    if len(rows) > MAX_KEYS:
        problems.append(f"oauth_key has more than {MAX_KEYS} rows; the rest is not read")
    return Table(keys, tuple(problems))


def _key(kid: object, ikm: object, timestamp: object, lifetime: object, name: object) -> TokenKey:
    """A row of coturn's schema; ValueError for one that coturn could not use either."""
    if not isinstance(kid, str) or not kid:
        raise ValueError("expected a kid")
    try:
        algorithm = Algorithm[str(name).strip().upper()]
    except KeyError:
        raise ValueError("expected as_rs_alg A128GCM or A256GCM") from None
    try:
        material = b64decode(str(ikm), validate=True)
    except binascii.Error:
        raise ValueError("expected ikm_key in base64") from None
    return TokenKey.of(kid, material, algorithm, _whole(timestamp), _whole(lifetime))


def _whole(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or value < 0:
        raise ValueError("expected timestamp and lifetime in seconds")
    return value


class OauthKeys:
    """The keys of one database as they were when it was last read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._table = Table({}, ())
        self._stamp: Stamp = ()

    def key(self, kid: str) -> TokenKey | None:
        return self._table.keys.get(kid)

    def __len__(self) -> int:
        return len(self._table.keys)

    def read(self) -> tuple[str, ...]:
        """Read it if it may have changed; returns what is wrong with its rows. Raises StoreError,
        and then the keys known so far stay. May be called from any one thread."""
        current = stamp(self.path)
        if current and current == self._stamp:
            return ()
        self._table = read_oauth_keys(self.path)
        # A change while it was being read is seen next time.
        self._stamp = current
        return self._table.problems
