"""What was measured, kept as a file: docs/performance.json. The page and the picture are drawn from
it, so that some rows can be measured again and the others stay.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report import Contest, Score, Setting
from rows import MEMORY, ROOT, ROWS, Result

FILE = ROOT / "docs" / "performance.json"


def merge(new: Sequence[Contest], file: Path = FILE) -> list[Contest]:
    """Puts what was measured now in the place of what was kept of the same rows; keeps it all, and
    returns it. Rows that there are no more are forgotten."""
    old = {contest.name: contest for contest in load(file)}
    merged = [_merge(old.pop(contest.name, None), contest) for contest in new]
    merged += old.values()
    texts = ",\n".join(_text(contest) for contest in merged)
    file.write_text(f"[{texts}]\n")
    return merged


def load(file: Path = FILE) -> list[Contest]:
    """What is kept; nothing when there is no such file."""
    if not file.exists():
        return []
    return [_contest(plain) for plain in json.loads(file.read_text())]


def _merge(old: Contest | None, new: Contest) -> Contest:
    if old is None:
        return new
    if not new.scores:
        return old if old.scores else new
    scores = {score.row.name: score for score in [*old.scores, *new.scores]}
    known = [row.name for row in (*ROWS, MEMORY) if row.name in scores]
    setting = new.setting
    if setting and old.setting and not setting.ceilings:
        setting = dataclasses.replace(setting, ceilings=old.setting.ceilings)
    return Contest(new.name, setting, [scores[name] for name in known])


def _text(contest: Contest) -> str:
    """JSON with a line for each score, so that a row that was renewed is a line that changes."""
    head = {
        "name": contest.name,
        "missing": contest.missing,
        "setting": contest.setting and dataclasses.asdict(contest.setting),
    }
    scores = [
        {
            "row": score.row.name,
            "pairs": [[_rounded(result) for result in pair] for pair in score.pairs],
            "failures": score.failures,
        }
        for score in contest.scores
    ]
    lines = ",\n".join(json.dumps(score) for score in scores)
    return f'{json.dumps(head)[:-1]}, "scores": [\n{lines}]}}'


def _rounded(result: Result) -> dict[str, float]:
    return {name: round(value, 4) for name, value in dataclasses.asdict(result).items()}


def _contest(plain: dict[str, Any]) -> Contest:
    rows = {row.name: row for row in (*ROWS, MEMORY)}
    scores = [
        Score(
            rows[score["row"]],
            [(Result(**first), Result(**second)) for first, second in score["pairs"]],
            score["failures"],
        )
        for score in plain["scores"]
        if score["row"] in rows
    ]
    setting = plain["setting"]
    if setting:
        for name in ("servers", "ceilings"):
            setting[name] = tuple(setting[name])
    return Contest(plain["name"], Setting(**setting) if setting else None, scores, plain["missing"])
