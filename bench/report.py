"""The tables of a benchmark, for the terminal and for docs/performance.md.

Knows medians and ratios; measures nothing.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rows import Result, Row

BEGIN = "<!-- the table below is written by `make bench` -->"
END = "<!-- end of the table -->"
DASH = "-"


@dataclass
class Score:
    """A row with the results of two servers, round by round, in pairs."""

    row: Row
    pairs: list[tuple[Result, Result]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def ratio(self, of: Callable[[Result], float], *, less_is_better: bool) -> float | None:
        """Median over the rounds of first/second, turned round where less is better."""
        pairs = [(of(first), of(second)) for first, second in self.pairs]
        if less_is_better:
            pairs = [(second, first) for first, second in pairs]
        return median(a / b for a, b in pairs if b) if any(b for _, b in pairs) else None

    def value_ratio(self) -> float | None:
        """The ratio that the goal is about."""
        return self.ratio(lambda result: result.value, less_is_better=self.row.less_is_better)

    def cpu_ratio(self) -> float | None:
        """How many times less CPU the first server takes for the same."""
        return self.ratio(lambda result: result.cpu, less_is_better=True)

    def middle(self, which: int, of: Callable[[Result], float]) -> float | None:
        """Median of one server's numbers."""
        return median(of(pair[which]) for pair in self.pairs) if self.pairs else None

    def spread(self) -> tuple[float, float] | None:
        """The least and the greatest ratio of any round."""
        ratios = [Score(self.row, [pair]).value_ratio() for pair in self.pairs]
        known = [ratio for ratio in ratios if ratio is not None]
        return (min(known), max(known)) if known else None

    def load_limited(self, which: int) -> bool:
        """Whether the load could not fill this server, in most rounds."""
        limited = sum(pair[which].load_limited for pair in self.pairs)
        return limited * 2 > len(self.pairs)

    def judged(self) -> float | None:
        """The ratio that the goal is held against: a server that waits for the load is judged
        by its CPU per packet."""
        value, cpu = self.value_ratio(), self.cpu_ratio()
        if value is None or cpu is None or not self.load_limited(0):
            return value
        return max(value, cpu)

    def missed(self) -> bool:
        """Whether there is a goal and it was not reached."""
        ratio = self.judged()
        return self.row.goal is not None and (ratio is None or ratio < self.row.goal)


def _machine() -> str:
    return f"{_processor()}, {_cores()} cores, Linux {platform.release()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cores() -> int:
    return Path("/proc/cpuinfo").read_text().count("processor\t")


@dataclass(frozen=True)
class Setting:
    """Where and how it was measured. `servers`: name and version of both."""

    servers: tuple[str, ...]
    server_core: int
    load_core: int
    rounds: int
    seconds: float
    ceilings: tuple[str, ...] = ()
    date: str = field(default_factory=lambda: str(datetime.datetime.now(datetime.UTC).date()))
    machine: str = field(default_factory=_machine)
    python: str = field(default_factory=platform.python_version)

    def lines(self) -> list[str]:
        """The machine and the conditions, one fact a line."""
        return [
            f"Date: {self.date}",
            f"Machine: {self.machine}",
            f"Servers: {self.servers[0]} against {self.servers[1]}, Python {self.python}",
            f"Server on core {self.server_core}, load on core {self.load_core}, loopback,"
            f" {self.rounds} rounds of {self.seconds:g} s for each row and server",
            *self.ceilings,
        ]


@dataclass
class Contest:
    """The scores of two servers; or, in `missing`, why the second one was not measured."""

    name: str
    setting: Setting | None
    scores: list[Score]
    missing: str = ""


def ratio_table(scores: Sequence[Score]) -> list[str]:
    """The ratios; above 1 the first server is the better one."""
    lines = ["| | ratio | least to greatest | CPU ratio | goal |", "|---|---|---|---|---|"]
    for score in scores:
        cells = [
            score.row.label,
            _times(score.value_ratio()),
            _range(score.spread()),
            _times(score.cpu_ratio()),
            _goal(score),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def number_table(scores: Sequence[Score], names: Sequence[str]) -> list[str]:
    """The medians themselves, with what kept the server from more."""
    head = " | ".join(f"{name} | CPU us | busy | load busy | lost" for name in names)
    lines = [f"| | {head} |", "|---" * 11 + "|"]
    for score in scores:
        cells = [f"{score.row.label}, {score.row.unit}"]
        for which in (0, 1):
            cells += _numbers(score, which)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _numbers(score: Score, which: int) -> list[str]:
    value = score.middle(which, lambda result: result.value)
    return [
        ("at least " if score.load_limited(which) else "") + _amount(value) + _manner(score, which),
        _amount(score.middle(which, lambda result: result.cpu)),
        _share(score.middle(which, lambda result: result.server_busy)),
        _share(score.middle(which, lambda result: result.load_busy)),
        _share(score.middle(which, lambda result: result.loss)),
    ]


def _manner(score: Score, which: int) -> str:
    """How they came, where that is not one by one and as many as possible."""
    if score.row.share is not None:
        rate = score.middle(which, lambda result: result.rate) or 0.0
        return f" at {rate:,.0f}/s"
    if "--train" in score.row.load and not score.row.payload:
        return f" in {score.middle(which, lambda result: result.train) or 0.0:.0f}s"
    return ""


def _amount(value: float | None) -> str:
    if not value:
        return DASH
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _share(value: float | None) -> str:
    return DASH if not value else f"{value:.1%}" if value < 0.1 else f"{value:.0%}"


def _times(ratio: float | None) -> str:
    return DASH if ratio is None else f"{ratio:.2f}"


def _range(spread: tuple[float, float] | None) -> str:
    return DASH if spread is None else f"{spread[0]:.2f} to {spread[1]:.2f}"


def _goal(score: Score) -> str:
    if score.failures:
        return f"failed: {score.failures[0]}"
    if score.row.goal is None:
        return DASH
    if score.missed():
        return f"{score.row.goal:g} missed"
    by_cpu = (score.value_ratio() or 0.0) < score.row.goal
    return f"{score.row.goal:g} reached{' by CPU' if by_cpu else ''}"


def page(contests: Sequence[Contest]) -> str:
    """Everything that there is to say, as Markdown; the first contest at length."""
    main, *further = contests
    blocks = []
    if main.setting:
        facts = [f"- {line}" for line in main.setting.lines()]
        facts.append(f"- {_disturbance(main.scores)}")
        first, second = main.setting.servers
        explained = f"Ratios are {first} to {second}; above 1 {first} is the better one."
        tables = (ratio_table(main.scores), number_table(main.scores, (first, second)))
        blocks += [facts, [explained], *tables]
    blocks += [block for contest in further for block in _in_short(contest)]
    return "\n\n".join("\n".join(block) for block in blocks)


def _in_short(contest: Contest) -> list[list[str]]:
    """One of the further contests."""
    if contest.setting is None:
        return [[f"{contest.missing}."]]
    first, second = contest.setting.servers
    head = f"| {first} to {second} | ratio | CPU ratio | {first} | {second} |"
    lines = [head, "|---" * 5 + "|"]
    for score in contest.scores:
        amounts = [_numbers(score, which)[0] for which in (0, 1)]
        label = f"{score.row.label}, {score.row.unit}"
        times = [_times(score.value_ratio()), _times(score.cpu_ratio())]
        cells = [label, *times, *(score.failures[:1] or amounts[:1]), amounts[1]]
        lines.append(f"| {' | '.join(cells)} |")
    return [lines] if contest.scores else []


def _disturbance(scores: Sequence[Score]) -> str:
    """How quiet the machine was."""
    taken = [max(pair[0].others, pair[1].others) for score in scores for pair in score.pairs]
    if not taken:
        return "Nothing was measured"
    return (
        f"Others took {median(taken):.2f} of the two cores in the median run,"
        f" {max(taken):.2f} in the worst"
    )


def write(file: Path, text: str) -> None:
    """Puts `text` between the marks in `file`. Raises ValueError when they are not there."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no place for the table")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
