"""The pages of limits and of security name tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
DOCS = REPOSITORY / "docs"
NAMED = re.compile(r"`([a-z0-9_/]+\.(?:py|rs))::([A-Za-z0-9_]+)`")


def rows(page: str) -> list[list[str]]:
    """The cells of every row of every table."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:2] == "| "
    ]


@pytest.mark.parametrize(("page", "at_least"), [("limits.md", 30), ("security.md", 60)])
def test_every_test_that_a_page_names_is_there(page: str, at_least: int) -> None:
    named = NAMED.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(named) > at_least
    missing = [f"{file}::{name}" for file, name in named if not is_there(file, name)]
    assert missing == []


def is_there(file: str, name: str) -> bool:
    path = REPOSITORY / file
    defined = re.compile(rf"\b(def|fn|class) {name}\b")
    return path.is_file() and defined.search(path.read_text(encoding="utf-8")) is not None


def test_every_row_of_limits_has_a_cap() -> None:
    assert [row[0] for row in rows("limits.md") if not row[2]] == []


def test_every_row_of_security_says_why() -> None:
    assert [row[0] for row in rows("security.md") if not row[1]] == []
