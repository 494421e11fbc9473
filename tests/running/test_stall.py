"""Python stalled for two seconds does not stop a running call: it is really stalled here."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.certificates import make_pair
from tests.running.conftest import ACCOUNTS, connector
from tests.running.test_mobility import over
from tests.servers import start_server
from tests.turn_client import Peer, TurnClient

STALLED_SERVER = """
import ctypes, os, signal, sys, threading, time
from ferryman.app import main

def stall():
    # PyDLL keeps the interpreter's lock: no Python code of the whole process runs meanwhile.
    while not os.path.exists("stall-now"):
        time.sleep(0.01)
    started = time.monotonic()
    print("stalling", flush=True)
    ctypes.PyDLL(None).usleep(2_000_000)
    print(f"stalled for {time.monotonic() - started:.1f} s", flush=True)

threading.Thread(target=stall, daemon=True).start()
main()
"""


TRANSPORTS = ("udp", "tcp", "tls", "dtls")


def test_calls_go_on_and_strangers_are_challenged_while_python_stands_still(
    tmp_path: Path,
) -> None:
    (tmp_path / "stalled.py").write_text(STALLED_SERVER)
    command = [sys.executable, str(tmp_path / "stalled.py"), "serve"]
    lines = [*ACCOUNTS, *make_pair(tmp_path).lines, "tls-listening-port=0"]
    lines.append("allow-loopback-peers")
    opened: list[TurnClient] = []
    with start_server(lines, tmp_path, command=command) as server, Peer() as peer:
        connect = connector(server, opened)
        clients = [over(connect, transport) for transport in TRANSPORTS]
        for client in clients:
            client.relayed()
            assert client.bind(0x4000, peer.address).code == 0
        (tmp_path / "stall-now").touch()
        while "stalling" not in server.output_path.read_text():
            time.sleep(0.005)
        assert connect().challenge().code == 401
        slowest = slowest_round_trip(clients, peer, seconds=1.3)
        assert "stalled for" not in server.output_path.read_text(), "it must still stand still"
        assert slowest < 0.5
        for client in clients:
            assert client.refresh(600).code == 0
        while "stalled for" not in server.output_path.read_text():
            time.sleep(0.005)
        assert "stalled for 2.0 s" in server.output_path.read_text()
        for client in opened:
            client.abandon()


def slowest_round_trip(clients: list[TurnClient], peer: Peer, *, seconds: float) -> float:
    """Seconds of the slowest of many round trips, by turns; every packet must arrive."""
    slowest, number = 0.0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for client in clients:
            started = time.monotonic()
            number += 1
            client.send_on(0x4000, b"%d" % number)
            payload, relayed = peer.receive()
            peer.send(relayed, payload)
            assert client.receive_channel() == (0x4000, b"%d" % number)
            slowest = max(slowest, time.monotonic() - started)
    assert number > 100
    return slowest
