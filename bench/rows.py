"""What is measured: one row of the table each, with the load that measures it.

Knows the load's command line and what the goals are; starts no server.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contenders import Server, in_front

ROOT = Path(__file__).resolve().parent.parent
LOAD = ROOT / "target" / "release" / "ferryman-load"

# How many times better than coturn.
SEPARATE, TRAINS, STREAMS = 1.5, 10.0, 3.0

WORDS = {"up": "client to peer", "down": "peer to client"}

# A run in which others took more of the cores than this is repeated, so many times at most.
DISTURBED = 0.2
ATTEMPTS = 4


class LoadFailed(Exception):
    """The load gave up; its own words say why."""


@dataclass(frozen=True)
class Row:
    """One row: `metric` is the number that is compared, `goal` the ratio to reach. With `payload`,
    bytes of each packet, it is told in MiB, and so is the CPU. With `share`, the load has a steady
    rate: that share of what the second server does at most in the row `MAXIMUM`."""

    name: str
    label: str
    load: tuple[str, ...]
    metric: str = "per_second"
    unit: str = "packets/s"
    less_is_better: bool = False
    goal: float | None = None
    payload: int | None = None
    share: float | None = None


@dataclass(frozen=True)
class Result:
    """What one run of the load against one server gave.

    `cpu` is CPU of the server per packet, cycle or MiB, microseconds. The busy shares are of one
    core; `others` is what anybody else took of the two cores. `rate` is in packets (or cycles) a
    second, `train` how many packets arrived together.
    """

    value: float
    cpu: float
    server_busy: float
    load_busy: float
    loss: float
    others: float
    rate: float = 0.0
    train: float = 1.0

    @property
    def load_limited(self) -> bool:
        """The server waited for the load, so it could have done more."""
        return self.load_busy > max(0.85, self.server_busy)


def _relay(name: str, label: str, *load: str) -> Row:
    return Row(name, label, ("relay", *load), goal=SEPARATE)


def _both_counts(direction: str, words: str) -> list[Row]:
    return [
        _relay(
            f"relay-{flows}-{direction}",
            f"ChannelData, {words}, {flows} flow{'s' if flows > 1 else ''}",
            *("--flows", str(flows), "--direction", direction),
        )
        for flows in (1, 100)
    ]


def _trains() -> list[Row]:
    """Datagrams that come as trains, as a network card or another sender with segmentation
    offload leaves them."""
    lengths = {160: 64, 1200: 50}
    return [
        Row(
            f"trains-{flows}-{direction}-{size}",
            f"Trains of {train}, {WORDS[direction]}, {size:,} bytes,"
            f" {flows} flow{'s' if flows > 1 else ''}",
            (
                *("relay", "--flows", str(flows), "--direction", direction),
                *("--size", str(size), "--train", str(train)),
            ),
            goal=TRAINS,
        )
        for size, train in lengths.items()
        for direction in WORDS
        for flows in (1, 100)
    ]


def _streams(transport: str) -> list[Row]:
    """Clients over TCP or TLS: what counts there is bytes, not packets."""
    return [
        _stream(f"relay-{transport}-{direction}-{size}", transport, direction, size, "", ())
        for direction in WORDS
        for size in (160, 1200)
    ]


def _stream_trains(transport: str) -> list[Row]:
    """The same with peers that send trains and take them whole. Of 24 KB at most, see the load."""
    return [
        _stream(
            f"trains-{transport}-{direction}-{size}",
            transport,
            direction,
            size,
            f" trains of {train},",
            ("--train", str(train)),
        )
        for direction in WORDS
        for size, train in {160: 64, 1200: 20}.items()
    ]


def _stream(
    name: str, transport: str, direction: str, size: int, peers: str, more: tuple[str, ...]
) -> Row:
    return Row(
        name,
        f"{transport.upper()} clients,{peers} {WORDS[direction]}, {size:,} bytes, 100 flows",
        (
            *("relay", "--flows", "100", "--direction", direction),
            *("--transport", transport, "--size", str(size), *more),
        ),
        unit="MiB/s",
        goal=STREAMS,
        payload=size,
    )


def _siege(name: str, label: str, hostile_per_second: int) -> Row:
    words = ("siege", "--rate", str(hostile_per_second))
    return Row(name, label, words, metric="cycle_p50_us", unit="us", less_is_better=True)


def _latency(percentile: int, share: float, words: str, goal: float | None) -> Row:
    return Row(
        f"latency-{share:g}-p{percentile}",
        f"Latency at {words} of coturn's maximum, p{percentile}, both ways, 100 flows",
        ("relay", "--flows", "100", "--direction", "both"),
        metric=f"latency_p{percentile}_us",
        unit="us",
        less_is_better=True,
        goal=goal,
        share=share,
    )


MAXIMUM = "relay-100-both"

ROWS: tuple[Row, ...] = (
    *_both_counts("up", "client to peer"),
    *_both_counts("down", "peer to client"),
    *_both_counts("both", "both ways"),
    _relay(
        "relay-large",
        "ChannelData of 1,200 bytes, both ways, 100 flows",
        *("--flows", "100", "--direction", "both", "--size", "1200"),
    ),
    _relay(
        "relay-send",
        "Send and Data indications, both ways, 100 flows",
        *("--flows", "100", "--direction", "both", "--method", "send"),
    ),
    *_trains(),
    *_streams("tcp"),
    *_streams("tls"),
    *_stream_trains("tcp"),
    *_stream_trains("tls"),
    Row(
        "relay-paced",
        "CPU per packet at a steady 50,000 packets/s, both ways, 100 flows",
        ("relay", "--flows", "100", "--direction", "both", "--rate", "50000"),
        metric="cpu_per_packet_us",
        unit="us",
        less_is_better=True,
        goal=1.0,
    ),
    _latency(50, 0.5, "half", None),
    _latency(99, 0.5, "half", 1.0),
    _latency(99, 0.9, "nine tenths", None),
    Row("binding", "Binding", ("binding",), unit="answers/s", goal=1.3),
    Row(
        "allocate",
        "Allocate (401), Allocate, Refresh 0",
        ("allocate",),
        unit="cycles/s",
        goal=2.5,
    ),
    _siege("siege-none", "A cycle of one client at a time", 0),
    _siege("siege", "The same beside 200,000 hostile packets a second", 200_000),
)

MEMORY = Row(
    "memory",
    "Memory per idle allocation",
    ("hold",),
    metric="bytes",
    unit="bytes",
    less_is_better=True,
    goal=5.0,
)


FURTHER: dict[str, tuple[str, ...]] = {
    "pion": (
        *("relay-1-up", "relay-100-up", "relay-100-down", "relay-100-both", "relay-send"),
        *("trains-100-up-160", "trains-100-up-1200", "binding", "allocate", "memory"),
    ),
    # It relays between its own clients alone and refuses every other peer.
    "turn-rs": ("binding", "allocate", "memory"),
}
"""Which rows other servers than coturn are measured in."""


def build_load() -> None:
    """Compiles the load; raises CalledProcessError when that fails."""
    command = ["cargo", "build", "--quiet", "--release", "--package", "ferryman-load"]
    subprocess.run(command, cwd=ROOT, check=True)


def measure(row: Row, server: Server, *, core: int, seconds: float) -> Result:
    """Runs the row's load, again when others took much of the cores. Raises `LoadFailed`."""
    results: list[Result] = []
    for _ in range(ATTEMPTS):
        results.append(_measure_once(row, server, core=core, seconds=seconds))
        if results[-1].others < DISTURBED:
            break
    return min(results, key=lambda result: result.others)


def _measure_once(row: Row, server: Server, *, core: int, seconds: float) -> Result:
    pace = ["--seconds", str(seconds), "--warmup", str(min(0.5, seconds / 2))]
    watched = [word for number in server.watched for word in ("--watch", str(number))]
    cores = ["--watch-core", str(server.core), "--watch-core", str(core)]
    said = run_load([*row.load, *server.address_words(), *pace, *watched, *cores], core=core)
    if said.get("wrong"):
        raise LoadFailed(f"{said['wrong']:.0f} packets arrived that nobody sent")
    if row.less_is_better and not said[row.metric]:
        raise LoadFailed("nothing came to its end, so that there is no time to tell")
    packets_in_mib = 2**20 / row.payload if row.payload else 1.0
    return Result(
        value=said[row.metric] / packets_in_mib,
        cpu=said.get("cpu_per_packet_us", said.get("cpu_per_cycle_us", 0.0)) * packets_in_mib,
        server_busy=said["server_busy"],
        load_busy=said.get("load_busy", 0.0),
        loss=said.get("loss", 0.0),
        others=said["others"],
        rate=said.get("per_second", 0.0),
        train=said.get("train", 1.0),
    )


def run_load(words: Sequence[str], *, core: int) -> dict[str, float]:
    """The load's own report. Raises `LoadFailed`."""
    process = in_front([str(LOAD), *words], core=core, stdout=subprocess.PIPE)
    said, complaint = process.communicate(timeout=120)
    if process.returncode != 0:
        raise LoadFailed(complaint.strip() or f"exit code {process.returncode}")
    report: dict[str, float] = json.loads(said)
    return report


def steady(row: Row, maximum: float) -> Row:
    """The row with its rate, where it has one; `maximum` in packets a second."""
    if row.share is None:
        return row
    return replace(row, load=(*row.load, "--rate", str(int(maximum * row.share))))


def memory_per_allocation(server: Server, *, core: int, allocations: int) -> Result:
    """Growth of the server's own memory over idle allocations, bytes each.

    What the kernel keeps for the sockets is not in it. Raises `LoadFailed`.
    """
    before = server.memory()
    words = [*MEMORY.load, *server.address_words(), "--allocations", str(allocations)]
    process = in_front(
        [str(LOAD), *words], core=core, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    holding = process.stdout.readline() if process.stdout else ""
    grown = server.memory() - before
    _, complaint = process.communicate(timeout=60)
    if holding.strip() != "holding":
        raise LoadFailed(complaint.strip())
    return Result(grown / allocations, 0.0, 0.0, 0.0, 0.0, 0.0)
