"""The picture of the main contest: docs/performance.svg, a bar for each row, how many times better
the first server is. Plain SVG, readable on light and on dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from report import Contest, Score
from rows import ROOT

FILE = ROOT / "docs" / "performance.svg"

LABELS, BARS, VALUES = 500, 380, 70
"""Widths: the labels, the space of the bars, the numbers at their ends."""
LINE, HEAD, FOOT = 22, 64, 30
STEPS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 16px; font-weight: 600 }
.dim { fill: #57606a }
.step { stroke: #d0d7de }
.one { stroke: #57606a }
.better { fill: #2f81f7 }
.worse { fill: #d1742f }
.goal { stroke: #24292f; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .dim { fill: #9198a1 }
  .step { stroke: #3d444d }
  .one { stroke: #9198a1 }
  .goal { stroke: #e6edf3 }
}"""


def write(contests: Sequence[Contest], file: Path = FILE) -> None:
    """Draws the first contest; nothing when it has no rows."""
    main = contests[0]
    if main.setting and main.scores:
        file.write_text(draw(main))


def draw(contest: Contest) -> str:
    """The picture as SVG."""
    drawn = [score for score in contest.scores if score.value_ratio() is not None]
    first, second = contest.setting.servers if contest.setting else ("", "")
    width, height = LABELS + BARS + VALUES, HEAD + LINE * len(drawn) + FOOT
    title = f"{first} against {second}, one core"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(title)}">',
        f"<style>\n{STYLE}\n</style>",
        _text(10, 24, title, "title"),
        _text(10, 44, "how many times better; a mark is the goal, ≥ where the load was the limit"),
        *_grid(height),
    ]
    for number, score in enumerate(drawn):
        lines += _bar(score, HEAD + LINE * number)
    return "\n".join([*lines, "</svg>", ""])


def _grid(height: int) -> list[str]:
    lines = []
    for step in STEPS:
        at = _place(step)
        kind = "one" if step == 1 else "step"
        ends = f'x1="{at}" y1="{HEAD - 6}" x2="{at}" y2="{height - FOOT}"'
        lines.append(f'<line class="{kind}" {ends}/>')
        lines.append(_text(at, height - FOOT + 18, f"{step:g}x", "dim", "middle"))
    return lines


def _bar(score: Score, top: int) -> list[str]:
    ratio = score.value_ratio() or 1.0
    start, end = sorted((_place(1.0), _place(ratio)))
    kind = "better" if ratio >= 1 else "worse"
    at_least = "≥ " if score.load_limited(0) and not score.row.less_is_better else ""
    lines = [
        _text(LABELS - 10, top + 15, score.row.label, "", "end"),
        f'<rect class="{kind}" x="{start}" y="{top + 4}" width="{end - start:.1f}" height="14"'
        ' rx="2"/>',
    ]
    free = max(end, _place(1.0))
    if score.row.goal is not None:
        at = _place(score.row.goal)
        ends = f'x1="{at}" y1="{top + 2}" x2="{at}" y2="{top + 20}"'
        lines.append(f'<line class="goal" {ends}/>')
        if free < at < free + VALUES:  # the number would be struck through
            free = at
    return [*lines, _text(free + 6, top + 15, f"{at_least}{ratio:.2f}")]


def _text(x: float, y: int, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _place(ratio: float) -> float:
    """Where a ratio is, on a scale of powers; what is beyond its ends is at them."""
    least, most = math.log(STEPS[0]), math.log(STEPS[-1])
    share = (math.log(ratio) - least) / (most - least)
    return round(LABELS + BARS * min(max(share, 0.0), 1.0), 1)
