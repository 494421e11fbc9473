"""Compares Ferryman with other servers on one machine: `make bench`, or `bench/run.py --help`.

Two servers run side by side, one of them idle at a time; row by row and round by round the load
goes to one and then to the other, so that the machine's moods meet both.
"""

from __future__ import annotations

import argparse
import signal
import sys

import kept
import picture
import report
import rows
from contenders import NotStarted, Program, find
from measure import Wishes, measure_all
from report import Contest, Setting
from rows import FURTHER, MEMORY, ROWS

PAGE = rows.ROOT / "docs" / "performance.md"


def main() -> int:
    """Measures, prints, and says by the exit code whether a goal was missed."""
    asked = _read_command_line()
    wishes = Wishes(
        tuple(asked.rows),
        asked.rounds,
        asked.seconds,
        asked.allocations,
        asked.server_core,
        asked.load_core,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end as well
    try:
        first, second = (find(name) for name in asked.servers)
        rows.build_load()
        contest = Contest(second.name, _setting((first, second), asked), [])
        contest.scores = measure_all((first, second), wishes)
        contests = [contest, *(_further(name, first, wishes, asked) for name in asked.further)]
    except NotStarted as trouble:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    print(report.page(contests))
    if asked.write:
        contests = kept.merge(contests)
        report.write(PAGE, report.page(contests))
        picture.write(contests)
    missed = [score.row.name for score in contest.scores if score.missed()]
    if asked.check and missed:
        print(f"bench: goals missed: {', '.join(missed)}", file=sys.stderr)
        return 1
    return 0


def _read_command_line() -> argparse.Namespace:
    known = [row.name for row in (*ROWS, MEMORY)]
    parser = argparse.ArgumentParser(description="Compares Ferryman with other servers.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row and server")
    parser.add_argument("--rows", nargs="*", choices=known, default=known, metavar="ROW")
    parser.add_argument("--allocations", type=int, default=15_000, help="for the memory row")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="fail when a goal is missed")
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"into {PAGE.name} and its picture; rows that were not measured now stay as they are",
    )
    parser.add_argument(
        "--servers",
        nargs=2,
        default=("ferryman", "coturn"),
        metavar=("FIRST", "SECOND"),
        help="ferryman, coturn, or a path to a turnserver",
    )
    parser.add_argument(
        "--further",
        nargs="*",
        choices=tuple(FURTHER),
        default=tuple(FURTHER),
        metavar="SERVER",
        help="who else the first one is compared with, in fewer rows: pion turn-rs",
    )
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds, asked.allocations = 1, 0.5, 2000
    return asked


def _further(name: str, first: Program, wishes: Wishes, asked: argparse.Namespace) -> Contest:
    """A shorter comparison with another server, if it is on this machine."""
    try:
        second = find(name)
    except NotStarted as trouble:
        return Contest(name, None, [], f"{trouble}; bench/build-contenders builds it")
    setting = _setting((first, second), asked, ceilings=False)
    return Contest(name, setting, measure_all((first, second), wishes.only(FURTHER[name])))


def _setting(
    programs: tuple[Program, Program], asked: argparse.Namespace, *, ceilings: bool = True
) -> Setting:
    return Setting(
        tuple(f"{program.name} {program.version}" for program in programs),
        asked.server_core,
        asked.load_core,
        asked.rounds,
        asked.seconds,
        _ceilings(asked) if ceilings and not asked.quick and asked.rows else (),
    )


def _ceilings(asked: argparse.Namespace) -> tuple[str, ...]:
    return tuple(_ceiling(flows, asked) for flows in (1, 100))


def _ceiling(flows: int, asked: argparse.Namespace) -> str:
    """What a loop without a single check does under the same load."""
    words = ["ceiling", "--flows", str(flows), "--core", str(asked.server_core)]
    said = rows.run_load([*words, "--seconds", str(asked.seconds)], core=asked.load_core)
    return (
        f"A bare recvmmsg and sendmmsg loop, {flows} flow{'s' if flows > 1 else ''}, client to"
        f" peer: {said['per_second']:,.0f} packets/s, {said['cpu_per_packet_us']:.2f} us each"
    )


if __name__ == "__main__":
    sys.exit(main())
