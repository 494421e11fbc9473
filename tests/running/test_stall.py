"""Python stalled for two seconds does not stop a running call: it is really stalled here."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.running.conftest import ACCOUNTS
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


def test_a_call_goes_on_while_python_stands_still(tmp_path: Path) -> None:
    (tmp_path / "stalled.py").write_text(STALLED_SERVER)
    command = [sys.executable, str(tmp_path / "stalled.py"), "serve"]
    lines = [*ACCOUNTS, "allow-loopback-peers"]
    with start_server(lines, tmp_path, command=command) as server, Peer() as peer:
        with TurnClient(server.port, "alice", "sesame") as client:
            client.relayed()
            client.bind(0x4000, peer.address)
            (tmp_path / "stall-now").touch()
            while "stalling" not in server.output_path.read_text():
                time.sleep(0.005)
            slowest = slowest_round_trip(client, peer, seconds=1.5)
            assert "stalled for" not in server.output_path.read_text(), "it must still stand still"
            assert slowest < 0.5
            assert client.refresh(600).code == 0
            while "stalled for" not in server.output_path.read_text():
                time.sleep(0.005)
        assert "stalled for 2.0 s" in server.output_path.read_text()


def slowest_round_trip(client: TurnClient, peer: Peer, *, seconds: float) -> float:
    """Seconds of the slowest of many round trips; every packet must arrive."""
    slowest, number = 0.0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        number += 1
        client.send_on(0x4000, b"%d" % number)
        payload, relayed = peer.receive()
        peer.send(relayed, payload)
        assert client.receive_channel() == (0x4000, b"%d" % number)
        slowest = max(slowest, time.monotonic() - started)
    assert number > 100
    return slowest
