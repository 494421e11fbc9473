"""What an operator should know about a configuration that is good enough to start with.

One line per reason, however many keys share it. No line ever holds the value of a secret key.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ferryman.config.given import Given
from ferryman.config.option import ALREADY, Option, State


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Notice:
    """`key`: the keys that it is about, with commas between; `source`: where they stand."""

    severity: Severity
    key: str
    text: str
    source: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.text) if part)


@dataclass(slots=True)
class Findings:
    """All that was found while a configuration was read: problems, notices, keys in doubt.

    `doubtful`: keys with a bad value, so that a check of several keys need not judge them twice.
    """

    _problems: list[tuple[int, str]] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line each, those of the whole first, then in the order of the file, then flags."""
        return tuple(text for _, text in sorted(self._problems, key=lambda problem: problem[0]))

    def problem(self, text: str, at: Sequence[Given] = (), *, key: str = "") -> None:
        """Something to mend; `at` is where it stands."""
        whole = ": ".join(part for part in (sources(at), key, text) if part)
        self._problems.append((min((one.line or sys.maxsize for one in at), default=0), whole))
        self.doubtful.add(key)

    def note(self, key: str, text: str, at: Sequence[Given] = ()) -> None:
        self.notices.append(Notice(Severity.INFO, key, text, sources(at)))

    def warn(self, key: str, text: str, at: Sequence[Given] = ()) -> None:
        self.notices.append(Notice(Severity.WARNING, key, text, sources(at)))


def unheeded(values: Sequence[tuple[Option, Given, object]]) -> list[Notice]:
    """One line for each reason why keys that ask for something get something else."""
    by_reason: dict[tuple[Severity, str], list[Given]] = {}
    for option, given, value in values:
        said = _said(option, value)
        if said is not None:
            by_reason.setdefault(said, []).append(given)
    return [
        Notice(severity, ", ".join(dict.fromkeys(one.key for one in given)), text, sources(given))
        for (severity, text), given in by_reason.items()
    ]


def _said(option: Option, value: object) -> tuple[Severity, str] | None:
    if option.state is State.IGNORED and option.reason == ALREADY and value is False:
        return Severity.WARNING, "it is always so and cannot be switched off"
    if option.state is State.HONOURED or value in option.quiet:
        return None
    if option.state is State.IGNORED:
        return Severity.INFO, option.reason
    if option.state is State.DECLINED:
        return Severity.WARNING, option.reason
    return Severity.WARNING, f"not built yet: {option.reason}"


def sources(given: Sequence[Given]) -> str:
    """Where values stand: `turnserver.conf:2,25,26`, and no more for flags than that they are."""
    lines: dict[str, list[str]] = {}
    for one in given:
        if one.line:
            lines.setdefault(one.file, []).append(str(one.line))
    places = [f"{file}:{','.join(dict.fromkeys(numbers))}" for file, numbers in lines.items()]
    return ", ".join(places + ["command line"] * any(not one.line for one in given))
