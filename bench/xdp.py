"""What channels cost that the kernel forwards (docs/xdp.md), over virtual links, beside coturn.

As root, in the repository: `unshare --net .venv/bin/python -m bench.xdp`; `make build` first, and
COTURN=/path/to/turnserver. Two links of this namespace lead to another one, which has the clients
and the peers. `--help` tells more.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import RunningServer, start_server
from tests.xdp.checks import CHANNEL, FAMILIES, Call
from tests.xdp.network import CLIENT, PEER, RELAY, SERVER, Namespace, build_together

ROOT = Path(__file__).resolve().parent.parent
LOAD = ROOT / "target" / "release" / "ferryman-load"
COUNTED = Path("/proc/sys/kernel/bpf_stats_enabled")

SERVER_CORE, LOAD_CORE = 0, 1
# So many packets leave before they are looked for: as under load, no cache is cold.
BURST = 16
USER = ("bench", "sesame")
COMMON = ["realm=bench.example", f"user={USER[0]}:{USER[1]}", "lt-cred-mech", "no-tls", "no-dtls"]
ADDRESSES = [f"listening-ip={ip}" for ip in ("127.0.0.1", *SERVER.values())]
ADDRESSES += [f"relay-ip={ip}" for ip in RELAY.values()]
XDP = ["xdp=near", "xdp=far"]
BOUND = ["setpriv", "--inh-caps=-all", "--bounding-set=-all,+bpf,+net_admin"]
RIGHTS = {"with CAP_PERFMON": [*BOUND[:-1], BOUND[-1] + ",+perfmon"], "without": BOUND}


@dataclass
class Case:
    """A server, and what its rounds gave: packets/s, and microseconds of CPU of a packet: of the
    machine, and thereof in the process, in softirq and in the program."""

    name: str
    start: Callable[[Path], RunningServer]
    per_second: list[float] = field(default_factory=list)
    machine: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    softirq: list[float] = field(default_factory=list)
    program: list[float] = field(default_factory=list)

    def medians(self) -> tuple[float, float, float, float, float]:
        """Of each."""
        rate, machine, process, softirq, program = (
            statistics.median(values)
            for values in (
                *(self.per_second, self.machine, self.process),
                *(self.softirq, self.program),
            )
        )
        return rate, machine, process, softirq, program


def main() -> int:
    """Measures and prints."""
    wishes = _read_command_line()
    world = build_together()
    with tempfile.TemporaryDirectory(prefix="ferryman-bench-") as folder:
        os.chdir(folder)
        with _counting():
            for mode in ("driver", "tc"):
                for rights, command in RIGHTS.items():
                    _tell_program(mode, rights, _program(mode, command, world, wishes.packets))
        if wishes.seconds:
            _tell_load(_load(world, wishes))
    return 0


def _read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packets", type=int, default=30_000, help="of each kind, for the program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load; 0: none")
    parser.add_argument("--flows", type=int, default=100)
    return parser.parse_args()


def _ferryman(rights: list[str], more: list[str]) -> Callable[[Path], RunningServer]:
    program = str(Path(sys.executable).with_name("ferryman"))
    command = [*_on_core(SERVER_CORE), *rights, program, "serve"]
    # One machine stands for many clients.
    lines = [*COMMON, *ADDRESSES, *more, "unauthorized-ratelimit=no", "relay-threads=1"]
    return lambda folder: start_server(lines, folder, addresses=[], command=command)


def _coturn(folder: Path) -> RunningServer:
    program = shutil.which(os.environ.get("COTURN", "turnserver"))
    if program is None:
        raise SystemExit("bench: COTURN=/path/to/turnserver")
    lines = [*COMMON, *ADDRESSES, "relay-threads=1", "log-file=/dev/null", "no-cli"]
    command = [*_on_core(SERVER_CORE), program]
    return start_server(lines, folder, addresses=[], command=command)


def _on_core(core: int) -> list[str]:
    return ["taskset", "--cpu-list", str(core), "nice", "-n", "-20"]


@contextmanager
def _counting() -> Iterator[None]:
    """The kernel counts how long programs run, which costs each of them a little."""
    before = COUNTED.read_text()
    COUNTED.write_text("1")
    try:
        yield
    finally:
        COUNTED.write_text(before)


def _run_time(server: RunningServer) -> tuple[int, int]:
    """Nanoseconds that the server's programs have run, and how often."""
    time = count = 0
    for file in Path(f"/proc/{server.process.pid}/fdinfo").iterdir():
        said = dict(re.findall(r"^(run_time_ns|run_cnt):\s+(\d+)$", file.read_text(), re.MULTILINE))
        time += int(said.get("run_time_ns", 0))
        count += int(said.get("run_cnt", 0))
    return time, count


def _program(mode: str, rights: list[str], world: Namespace, packets: int) -> list[list[float]]:
    """Nanoseconds of the program for a packet of 160 octets to the peer, and to the client, for
    each pair of families."""
    with _ferryman(rights, [*XDP, f"xdp-mode={mode}"])(Path.cwd()) as server:
        assert f"mode={mode}" in server.log, server.log
        rows = []
        for families in FAMILIES:
            call = Call(server, (world, world), families, USER)
            rows.append([_times(server, exchange, packets) for exchange in _exchanges(call)])
            call.close()
        return rows


def _exchanges(call: Call) -> Iterator[Callable[[], None]]:
    payload = bytes(160)

    def up() -> None:
        for _ in range(BURST):
            call.client.send_on(CHANNEL, payload)
        for _ in range(BURST):
            assert call.peer.receive() == (payload, call.relayed)

    def down() -> None:
        for _ in range(BURST):
            call.peer.send(call.relayed, payload)
        for _ in range(BURST):
            assert call.client.receive_channel() == (CHANNEL, payload)

    return iter((up, down))


def _times(server: RunningServer, exchange: Callable[[], None], packets: int) -> float:
    time, count = _run_time(server)
    for _ in range(packets // BURST):
        exchange()
    after, counted = _run_time(server)
    assert counted - count >= packets // BURST * BURST
    return (after - time) / (counted - count)


def _load(world: Namespace, wishes: argparse.Namespace) -> list[Case]:
    rights = RIGHTS["with CAP_PERFMON"]
    cases = [
        *(
            Case(f"Ferryman, xdp, {mode}", _ferryman(rights, [*XDP, f"xdp-mode={mode}"]))
            for mode in ("driver", "tc")
        ),
        Case("Ferryman", _ferryman(rights, [])),
        Case("coturn", _coturn),
    ]
    for number in range(wishes.rounds):
        for case in cases if number % 2 == 0 else reversed(cases):
            with case.start(Path.cwd()) as server:
                _measure(case, server, world, wishes)
        print(f"round {number + 1} of {wishes.rounds}", file=sys.stderr, flush=True)
    return cases


def _measure(
    case: Case, server: RunningServer, world: Namespace, wishes: argparse.Namespace
) -> None:
    """As many packets as come through; and again, while the program's time is counted."""
    before = _softirq()
    said = _run(server, world, wishes)
    after = _softirq()
    rate = said["per_second"]
    case.per_second.append(rate)
    case.process.append(said["cpu_per_packet_us"])
    case.softirq.append((after - before) / rate / wishes.seconds)
    case.machine.append((said["server_busy"] + said["load_busy"]) * 1e6 / rate)
    with _counting():
        time, count = _run_time(server)
        _run(server, world, wishes)
        after_time, counted = _run_time(server)
        case.program.append((after_time - time) / 1000 / max(1, counted - count))


def _run(server: RunningServer, world: Namespace, wishes: argparse.Namespace) -> dict[str, float]:
    """The load's own report."""
    words = [
        *("relay", "--flows", str(wishes.flows), "--direction", "both"),
        *("--server", f"{SERVER[4]}:{server.port}", "--user", USER[0], "--password", USER[1]),
        *("--client", CLIENT[4], "--peer", PEER[4], "--watch", str(server.process.pid)),
        *("--seconds", str(wishes.seconds), "--warmup", "0"),
    ]
    command = [*_on_core(LOAD_CORE), str(LOAD), *words]
    run = world.run(lambda: subprocess.run(command, check=True, stdout=subprocess.PIPE))
    said: dict[str, float] = json.loads(run.stdout)
    return said


def _softirq() -> float:
    """Microseconds that the machine has spent in interrupts of its network, as the kernel sees it
    at its ticks."""
    words = Path("/proc/stat").read_text().splitlines()[0].split()
    return float(words[7]) * 1e6 / os.sysconf("SC_CLK_TCK")


def _tell_program(mode: str, rights: str, rows: list[list[float]]) -> None:
    for (client, peer), (up, down) in zip(FAMILIES, rows, strict=True):
        print(f"| {mode}, {rights} | IPv{client}, IPv{peer} | {up:.0f} | {down:.0f} |", flush=True)


def _tell_load(cases: list[Case]) -> None:
    """The load's own work and the links' is the same for all: what a server takes is what more it
    takes than the program does, and the program's time."""
    medians = [case.medians() for case in cases]
    _, common, _, _, program = medians[0]
    print(_HEADER)
    for case, (rate, machine, process, softirq, own) in zip(cases, medians, strict=True):
        server = machine - common + program
        print(
            f"| {case.name} | {rate:,.0f} | {machine:.2f} | {process:.2f} | {softirq:.2f} | "
            f"{own * 1000:.0f} | {server:.2f} | {server / program:.0f} |"
        )


_HEADER = """\
| server | packets/s | us of the machine a packet, load and all | of the process | in softirq | \
ns of the program | us of the server | times the program in the driver |
|---|---|---|---|---|---|---|---|"""


if __name__ == "__main__":
    sys.exit(main())
