"""The documentation has the table that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman.config.page import BEGIN, END, main, with_table
from ferryman.config.table import OPTIONS

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), f"run: python -m ferryman.config.page {PAGE.name}"


def test_the_page_has_a_row_for_every_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [o.name for o in OPTIONS if f"\n| `{o.name}`" not in page] == []


def test_the_program_writes_the_table_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\noutdated\n{END}\nafter\n")
    assert main([str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "outdated" not in text
    assert main([]) == 2


def test_a_page_without_marks_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no marks"):
        with_table("nothing here")
