"""An allocation belongs to the web origin that it was opened for, where the operator wants it."""

from __future__ import annotations

import pytest

from ferryman.engine.journal import RefusedRequest
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import Settings
from ferryman.wire.registry import Attribute, Method
from tests.engine.desk import REALM, Desk

HERE = (Attribute.ORIGIN, b"https://call.example")
ELSEWHERE = (Attribute.ORIGIN, b"https://evil.example")
REFRESH = Method.REFRESH


def desk(*, consistent: bool = True) -> Desk:
    return Desk(Settings(realm=REALM, origin_consistency=consistent))


@pytest.mark.parametrize(
    ("opened", "then", "code"),
    [
        ((HERE,), (HERE,), 0),
        ((HERE,), (ELSEWHERE,), 441),
        ((HERE,), (), 441),
        ((HERE,), (ELSEWHERE, HERE), 0),
        ((HERE, ELSEWHERE), (ELSEWHERE,), 441),
        ((), (), 0),
        ((), (HERE,), 441),
        ((HERE,), ((Attribute.ORIGIN, b"HTTPS://Call.Example:443"),), 0),
        ((HERE,), ((Attribute.ORIGIN, b"https://call.example:444"),), 441),
        ((HERE,), ((Attribute.ORIGIN, b"http://call.example"),), 441),
    ],
)
def test_an_origin_stays_what_it_was(
    opened: tuple[tuple[int, bytes], ...], then: tuple[tuple[int, bytes], ...], code: int
) -> None:
    client = desk().client()
    assert client.allocate(*opened).code == 0
    refreshed = client.request(REFRESH, then)
    assert refreshed.code == code
    if code:
        (entry,) = refreshed.journal
        assert isinstance(entry, RefusedRequest)
        assert entry.refusal is Refusal.OTHER_ORIGIN
        assert client.request(REFRESH, opened).code == 0


def test_nobody_looks_unless_asked_for() -> None:
    client = desk(consistent=False).client()
    assert client.allocate(HERE).code == 0
    assert client.request(REFRESH, (ELSEWHERE,)).code == 0


def test_whose_allocation_it_is_counts_first() -> None:
    table = desk()
    alice = table.client()
    assert alice.allocate(HERE).code == 0
    bob = table.client(username="bob")
    (entry,) = bob.request(REFRESH, (ELSEWHERE,)).journal
    assert isinstance(entry, RefusedRequest)
    assert entry.refusal is Refusal.WRONG_CREDENTIALS


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"https://[::1",
        b"https://a:99999",
        b"null",
        b"x" * 4000,
        b"http://[::1]:80",
    ],
)
def test_whatever_an_origin_is_it_is_itself(value: bytes) -> None:
    client = desk().client()
    origin = (Attribute.ORIGIN, value[:1000])
    assert client.allocate(origin).code == 0
    assert client.request(REFRESH, (origin,)).code == 0
