"""Compares Ferryman with coturn on one machine: `make bench`, or `python bench/run.py --help`.

Two servers run side by side, one of them idle at a time; row by row and round by round the load
goes to one and then to the other, so that the machine's moods meet both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import report
import rows
from contenders import NotStarted, Program, Server, find, running
from report import Score, Setting
from rows import MEMORY, ROWS, LoadFailed, Result

PAGE = rows.ROOT / "docs" / "performance.md"


def main() -> int:
    """Measures, prints, and says by the exit code whether a goal was missed."""
    wishes = _read_command_line()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end as well
    try:
        programs = (find(wishes.servers[0], wishes.coturn), find(wishes.servers[1], wishes.coturn))
        rows.build_load()
        scores = _measure_all(programs, wishes)
    except NotStarted as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    text = report.page(_setting(programs, wishes), scores)
    print(text)
    if wishes.write:
        report.write(PAGE, text)
    missed = [score.row.name for score in scores if score.missed()]
    if wishes.check and missed:
        print(f"bench: goals missed: {', '.join(missed)}", file=sys.stderr)
        return 1
    return 0


def _read_command_line() -> argparse.Namespace:
    known = [row.name for row in (*ROWS, MEMORY)]
    parser = argparse.ArgumentParser(description="Compares Ferryman with coturn.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row and server")
    parser.add_argument("--rows", nargs="+", choices=known, default=known, metavar="ROW")
    parser.add_argument("--allocations", type=int, default=4000, help="for the memory row")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    parser.add_argument(
        "--servers",
        nargs=2,
        default=("ferryman", "coturn"),
        metavar=("FIRST", "SECOND"),
        help="ferryman, coturn, or a path to a turnserver",
    )
    wishes = parser.parse_args()
    wishes.coturn = os.environ.get("COTURN")
    if wishes.quick:
        wishes.rounds, wishes.seconds, wishes.allocations = 1, 0.5, 2000
    return wishes


def _setting(programs: tuple[Program, Program], wishes: argparse.Namespace) -> Setting:
    ceilings = () if wishes.quick else tuple(_ceiling(flows, wishes) for flows in (1, 100))
    return Setting(
        programs, wishes.server_core, wishes.load_core, wishes.rounds, wishes.seconds, ceilings
    )


def _ceiling(flows: int, wishes: argparse.Namespace) -> str:
    """What a loop without a single check does under the same load."""
    words = ["ceiling", "--flows", str(flows), "--core", str(wishes.server_core)]
    said = rows.run_load([*words, "--seconds", str(wishes.seconds)], core=wishes.load_core)
    return (
        f"A bare recvmmsg and sendmmsg loop, {flows} flow{'s' if flows > 1 else ''}, client to"
        f" peer: {said['per_second']:,.0f} packets/s, {said['cpu_per_packet_us']:.2f} us each"
    )


def _measure_all(programs: tuple[Program, Program], wishes: argparse.Namespace) -> list[Score]:
    scores = [Score(row) for row in ROWS if row.name in wishes.rows]
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        for number in range(wishes.rounds if scores else 0):
            _say(f"round {number + 1} of {wishes.rounds}")
            _round(number, programs, scores, wishes, Path(folder) / str(number))
        if MEMORY.name in wishes.rows:
            scores.append(_memory(programs, wishes, Path(folder) / "memory"))
    return scores


def _round(
    number: int,
    programs: tuple[Program, Program],
    scores: Sequence[Score],
    wishes: argparse.Namespace,
    folder: Path,
) -> None:
    """Both servers fresh, every row on each; who goes first changes with the round."""
    with contextlib.ExitStack() as stack:
        first, second = (
            stack.enter_context(
                running(program, core=wishes.server_core, place=place, folder=folder / str(place))
            )
            for place, program in enumerate(programs)
        )
        for score in scores:
            _pair(score, first, second, wishes, turned=number % 2 == 1)


def _pair(
    score: Score, first: Server, second: Server, wishes: argparse.Namespace, *, turned: bool
) -> None:
    order = (second, first) if turned else (first, second)
    results: list[Result] = []
    for server in order:
        result = _attempt(score, server, wishes)
        if result is None:
            return
        results.append(result)
    if turned:
        results.reverse()
    score.pairs.append((results[0], results[1]))
    _say(f"  {score.row.name}: {results[0].value:,.1f} and {results[1].value:,.1f}")


def _attempt(score: Score, server: Server, wishes: argparse.Namespace) -> Result | None:
    try:
        return rows.measure(score.row, server, core=wishes.load_core, seconds=wishes.seconds)
    except LoadFailed as trouble:
        score.failures.append(f"{server.program.name}: {trouble}")
        _say(f"  {score.row.name}: {score.failures[-1]}")
        return None


def _memory(programs: tuple[Program, Program], wishes: argparse.Namespace, folder: Path) -> Score:
    """Each server alone and fresh: memory does not come back."""
    score = Score(MEMORY)
    results = []
    for place, program in enumerate(programs):
        with running(
            program, core=wishes.server_core, place=place, folder=folder / str(place)
        ) as server:
            results.append(_hold(score, server, wishes))
    if results[0] and results[1]:
        score.pairs.append((results[0], results[1]))
    return score


def _hold(score: Score, server: Server, wishes: argparse.Namespace) -> Result | None:
    try:
        return rows.memory_per_allocation(
            server, core=wishes.load_core, allocations=wishes.allocations
        )
    except LoadFailed as trouble:
        score.failures.append(f"{server.program.name}: {trouble}")
        return None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
