"""Puts two servers side by side and measures row by row, round by round.

Knows how a round goes; what a row is and who the servers are is told to it.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import rows
from contenders import Program, Server, running
from report import Score
from rows import MAXIMUM, MEMORY, ROWS, LoadFailed, Result, Row


@dataclass(frozen=True)
class Wishes:
    """What to measure, and how long."""

    rows: tuple[str, ...]
    rounds: int
    seconds: float
    allocations: int
    server_core: int
    load_core: int

    def only(self, names: Sequence[str]) -> Wishes:
        """The same for those of the rows that are among `names`."""
        return replace(self, rows=tuple(name for name in self.rows if name in names))


def measure_all(programs: tuple[Program, Program], wishes: Wishes) -> list[Score]:
    """Every row that is wished for. Raises `NotStarted`."""
    scores = [Score(row) for row in ROWS if row.name in wishes.rows]
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        for number in range(wishes.rounds if scores else 0):
            _say(f"round {number + 1} of {wishes.rounds}, {programs[0].name} {programs[1].name}")
            _Round(wishes, turned=number % 2 == 1).run(programs, scores, Path(folder) / str(number))
        if MEMORY.name in wishes.rows:
            scores.append(_memory(programs, wishes, Path(folder) / "memory"))
    return scores


class _Round:
    """Both servers fresh, every row on each; who goes first changes with the round."""

    def __init__(self, wishes: Wishes, *, turned: bool) -> None:
        self._wishes = wishes
        self._turned = turned
        self._maximum: float | None = None

    def run(self, programs: tuple[Program, Program], scores: Sequence[Score], folder: Path) -> None:
        core = self._wishes.server_core
        with contextlib.ExitStack() as stack:
            first, second = (
                stack.enter_context(
                    running(program, core=core, place=place, folder=folder / str(place))
                )
                for place, program in enumerate(programs)
            )
            for score in scores:
                self._pair(score, first, second)

    def _pair(self, score: Score, first: Server, second: Server) -> None:
        order = (second, first) if self._turned else (first, second)
        results: list[Result] = []
        try:
            row = self._with_rate(score.row, second)
            for server in order:
                results.append(self._measure(row, server))
        except LoadFailed as trouble:
            score.failures.append(str(trouble))
            return _say(f"  {score.row.name}: {trouble}")
        if self._turned:
            results.reverse()
        score.pairs.append((results[0], results[1]))
        return _say(f"  {score.row.name}: {results[0].value:,.1f} and {results[1].value:,.1f}")

    def _measure(self, row: Row, server: Server) -> Result:
        wishes = self._wishes
        try:
            return rows.measure(row, server, core=wishes.load_core, seconds=wishes.seconds)
        except LoadFailed as trouble:
            raise LoadFailed(f"{server.program.name}: {trouble}") from None

    def _with_rate(self, row: Row, second: Server) -> Row:
        """Both servers get the same rate: a share of what the second one can do."""
        if row.share is None:
            return row
        if self._maximum is None:
            fastest = next(row for row in ROWS if row.name == MAXIMUM)
            self._maximum = self._measure(fastest, second).value
        return rows.steady(row, self._maximum)


def _memory(programs: tuple[Program, Program], wishes: Wishes, folder: Path) -> Score:
    """Each server alone and fresh: memory does not come back."""
    score = Score(MEMORY)
    results = []
    for place, program in enumerate(programs):
        core, own = wishes.server_core, folder / str(place)
        with running(program, core=core, place=2, folder=own) as server:
            try:
                results.append(
                    rows.memory_per_allocation(
                        server, core=wishes.load_core, allocations=wishes.allocations
                    )
                )
            except LoadFailed as trouble:
                score.failures.append(f"{program.name}: {trouble}")
                _say(f"  {MEMORY.name}: {score.failures[-1]}")
    if len(results) == len(programs):
        score.pairs.append((results[0], results[1]))
        _say(f"  {MEMORY.name}: {results[0].value:,.0f} and {results[1].value:,.0f}")
    return score


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
