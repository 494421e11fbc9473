"""What the pages name is there: tests, and keys that are not built yet."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from ferryman.config.option import Section, State
from ferryman.config.table import in_section

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


def test_the_readme_names_every_key_that_is_not_built_yet() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition("Not built yet: ")
    patterns = re.findall(r"`([^`]+)`", rest.partition("These keys are known")[0])
    options = [option for section in Section for option in in_section(section)]
    keys = {option.name for option in options if option.state is State.NOT_BUILT}
    assert sorted(key for key in keys if not named(key, patterns)) == []
    built = {option.name for option in options} - keys
    assert sorted(key for key in built if named(key, patterns)) == []


def named(key: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)
