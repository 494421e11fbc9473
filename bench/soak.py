"""Memory of Ferryman: what an idle allocation takes, and whether it grows while allocations come,
go and expire for ten minutes. `make soak`, or `bench/soak.py --help`.

Counts what the process has for itself, not what the kernel keeps for its sockets.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import rows
from contenders import NotStarted, Server, find, in_front, running
from rows import LoadFailed

IDLE_LIMIT = 4096
"""Bytes that an idle allocation may take."""
GROWTH_LIMIT = 0.01
"""By which share the process may be larger in the last third of the churn than in the second one:
some ten bytes for each allocation that comes and goes in 200 s, at 400 a second."""
LIFETIME = 30
"""Seconds after which an allocation that is left alone is gone."""
CHURN = f"max-allocate-lifetime={LIFETIME}\nrelay-threads=2\n"
"""Two workers, though they have one core: what they keep of each other is in it."""
SHORTEST = 3.0
"""Minutes. The tables fill in the first third: answers are remembered for 40 s."""


def main() -> int:
    """Measures, prints, and says by the exit code whether a limit was passed."""
    wishes = _read_command_line()
    try:
        rows.build_load()
        ferryman = find("ferryman")
        with tempfile.TemporaryDirectory(prefix="ferryman-soak-") as folder:
            own = Path(folder)
            with running(ferryman, core=0, place=2, folder=own / "idle", ahead=False) as server:
                idle = rows.memory_per_allocation(
                    server, core=1, allocations=wishes.allocations
                ).value
            print(f"{wishes.allocations:,} idle allocations: {idle:,.0f} bytes each", flush=True)
            short = replace(ferryman, more=CHURN)
            with running(short, core=0, place=2, folder=own / "churn", ahead=False) as server:
                growth = _churn(server, wishes)
    except (NotStarted, LoadFailed) as trouble:
        print(f"soak: {trouble}", file=sys.stderr)
        return 2
    print(f"growth from the second third to the last one: {growth:+.2%}")
    return 0 if idle <= IDLE_LIMIT and growth <= GROWTH_LIMIT else 1


def _read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory of idle allocations, and under churn.")
    parser.add_argument("--allocations", type=int, default=15_000, help="idle at once")
    parser.add_argument("--minutes", type=float, default=10.0, help="of churn")
    parser.add_argument("--rate", type=int, default=400, help="allocations a second in the churn")
    wishes = parser.parse_args()
    if wishes.minutes < SHORTEST:
        parser.error(f"--minutes: at least {SHORTEST:g}, for the tables to fill in the first third")
    return wishes


def _churn(server: Server, wishes: argparse.Namespace) -> float:
    """Every other allocation is given back, the rest expires. Returns the growth, as a share."""
    seconds = wishes.minutes * 60
    cycles = ["--rate", str(wishes.rate), "--leave", "2", "--seconds", str(seconds)]
    words = [str(rows.LOAD), "allocate", *server.address_words(), *cycles]
    load = in_front(words, core=1, stdout=subprocess.PIPE, ahead=False)
    try:
        sizes = _watch(server, load, seconds)
        said, complaint = load.communicate(timeout=60)
    finally:
        load.kill()
    if load.returncode != 0:
        raise LoadFailed(complaint.strip())
    print(f"the load says {said.strip()}")
    return growth(sizes)


def growth(sizes: Sequence[int]) -> float:
    """By which share the last third is larger than the second one, on average: of a table that
    doubles now and then, medians need not see anything."""
    third = len(sizes) // 3
    return fmean(sizes[-third:]) / fmean(sizes[third : 2 * third]) - 1


def _watch(server: Server, load: subprocess.Popen[str], seconds: float) -> list[int]:
    """The size of the process, twenty-four times in every third, and told ten times in all."""
    sizes: list[int] = []
    pause = seconds / 72
    while load.poll() is None and len(sizes) < 72:
        time.sleep(pause)
        sizes.append(server.memory())
        if len(sizes) % 7 == 0:
            print(f"{len(sizes) * pause:6.0f} s: {sizes[-1] / 2**20:.2f} MiB", flush=True)
    return sizes


if __name__ == "__main__":
    sys.exit(main())
