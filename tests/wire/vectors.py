"""The shared wire vectors of `vectors/`, and how their rows are named in a test report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2] / "vectors"


def load(name: str) -> Any:
    """A vector file as JSON has it."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def rows(name: str, *verdicts: str) -> list[dict[str, Any]]:
    """Rows of a vector file, those with one of these verdicts only where any are named."""
    found = [row for row in load(name) if not verdicts or row["verdict"] in verdicts]
    if not found:
        raise LookupError(f"{name} has no row for {verdicts}")
    return found


def name_of(row: dict[str, Any]) -> str:
    """For `ids=`."""
    return str(row["name"])
