"""What a second worker costs: CPU per packet of Ferryman with one worker and with two, at the same
pace. `python bench/workers.py --help`; `make build` first.

A machine of two cores has none left for a load that could fill two workers. It can show that a
packet costs the same with either number, on one core and on two; then throughput grows with cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import rows
from contenders import NotStarted, Program, find, running
from rows import LoadFailed, Row

FLAT = 1.15
"""By which factor a packet may cost more with two workers."""


@dataclass
class Case:
    """A number of workers, and the cores that they share."""

    label: str
    workers: int
    cores: str
    cpu: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)


def main() -> int:
    """Measures, prints, and says by the exit code whether the cost stayed flat."""
    wishes = _read_command_line()
    cases = [
        Case("1 worker, one core", 1, "0"),
        Case("2 workers, one core", 2, "0"),
        Case("2 workers, two cores", 2, "0,1"),
    ]
    row = _row(wishes.rate)
    try:
        rows.build_load()
        ferryman = find("ferryman")
        for number in range(wishes.rounds):
            with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
                for case in cases:
                    _measure(case, ferryman, row, wishes.seconds, Path(folder) / str(case.workers))
            print(f"round {number + 1} of {wishes.rounds}", file=sys.stderr, flush=True)
    except (NotStarted, LoadFailed) as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    return _tell(cases, row)


def _read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One worker thread against two.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each case")
    parser.add_argument("--rate", type=int, default=50_000, help="packets/s")
    return parser.parse_args()


def _row(rate: int) -> Row:
    load = ("relay", "--flows", "100", "--direction", "both", "--rate", str(rate))
    return Row("paced", f"ChannelData both ways, 100 flows, {rate:,} packets/s", load)


def _measure(case: Case, ferryman: Program, row: Row, seconds: float, folder: Path) -> None:
    """With a server of its own: the kernel spreads its clients anew."""
    program = replace(ferryman, more=f"relay-threads={case.workers}\n")
    with running(program, core=0, place=0, folder=folder, cores=case.cores) as server:
        result = rows.measure(row, server, core=1, seconds=seconds)
    case.cpu.append(result.cpu)
    case.per_second.append(result.value)


def _tell(cases: list[Case], row: Row) -> int:
    one = statistics.median(cases[0].cpu)
    print(f"{row.label}; {os.cpu_count()} cores, load on core 1; medians of {len(cases[0].cpu)}")
    for case in cases:
        cpu, rate = statistics.median(case.cpu), statistics.median(case.per_second)
        print(f"{case.label:22} {cpu:5.2f} us CPU a packet ({cpu / one:.2f}x), {rate:9,.0f}/s")
    flat = all(statistics.median(case.cpu) <= FLAT * one for case in cases)
    return 0 if flat else 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
