"""The page of limits names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
PAGE = REPOSITORY / "docs" / "limits.md"
NAMED = re.compile(r"`([a-z_/]+\.(?:py|rs))::([a-z0-9_]+)`")


def test_every_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(rf"\b(def|fn) {name}\(", (REPOSITORY / file).read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_every_row_of_the_page_has_a_cap() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells if not row[2]] == []
