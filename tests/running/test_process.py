"""The program as an operator meets it: starting, refusing to start, stopping."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from os import urandom
from pathlib import Path

import pytest

from ferryman.auth.time_limited import password_for
from ferryman.config.table import OPTIONS
from ferryman.wire.message import encode
from ferryman.wire.registry import Attribute, MessageClass, Method
from ferryman.wire.values import encode_even_port
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import answers, free_port, start_server, start_with_embedded_defaults
from tests.turn_client import UDP_TRANSPORT, TurnClient

FERRYMAN = str(Path(sys.executable).with_name("ferryman"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_everything_and_exits_with_zero(
    tmp_path: Path, number: signal.Signals
) -> None:
    server = start_server([*ACCOUNTS, "log-format=json"], tmp_path)
    with TurnClient(server.port, "alice", "sesame") as client:
        relayed = client.relayed()
        server.process.send_signal(number)
        assert server.process.wait(5) == 0
    events = [json.loads(line) for line in server.log.splitlines()]
    closed = [event for event in events if event["event"] == "allocation closed"]
    assert [event["relayed"] for event in closed] == [str(relayed)]
    assert closed[0]["why"] == "server stopped"
    assert events[-1]["event"] == "stopped"


def test_embedded_defaults_greet_with_credentials_that_work(tmp_path: Path) -> None:
    server, greeting = start_with_embedded_defaults(tmp_path)
    with server:
        turn = greeting["iceServers"][-1]
        host = turn["urls"][0].removeprefix("turn:").partition("?")[0].rpartition(":")[0]
        username, credential = turn["username"], turn["credential"]
        with TurnClient(server.port, username, credential, host=host.strip("[]")) as client:
            assert client.relayed().host == host.strip("[]")
        assert credential not in server.log
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = tmp_path / "state" / "rest-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_text().strip() not in server.log + server.output_path.read_text()


def test_the_secret_survives_a_restart(tmp_path: Path) -> None:
    greetings = []
    for _ in range(2):
        server, greeting = start_with_embedded_defaults(tmp_path)
        server.stop()
        greetings.append(greeting["iceServers"][-1])
        time.sleep(0.1)
    server, _ = start_with_embedded_defaults(tmp_path)
    first = greetings[0]
    with server, TurnClient(server.port, first["username"], first["credential"]) as client:
        assert client.allocate().code == 0


def refused(*arguments: str) -> str:
    done = subprocess.run(
        [FERRYMAN, "serve", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_file_without_credentials_does_not_start_an_open_relay(tmp_path: Path) -> None:
    comments = [f"#{option.name}=" for option in OPTIONS]  # as the file that coturn comes with
    with start_server(comments, tmp_path) as server, TurnClient(server.port, "", "") as client:
        assert client.allocate().code == 401
    (line,) = [line for line in server.log.splitlines() if "no credentials" in line]
    assert "nobody can relay" in line


def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path) -> None:
    with start_server(ACCOUNTS, tmp_path) as server:
        file = tmp_path / "second.conf"
        file.write_text("\n".join([*ACCOUNTS, f"listening-port={server.port}"]))
        complaint = refused("-c", str(file), "--listening-ip=127.0.0.1")
    assert f"cannot listen on UDP 127.0.0.1:{server.port}: Address already in use" in complaint


WHERE_BLOCKS_LIE = """
import contextlib
from ferryman.app.start import main

with contextlib.suppress(SystemExit):
    main()
del (larger := [bytes(8 << 20)])[0]
block = bytes(1 << 20)
(heap,) = [line.split()[0] for line in open("/proc/self/maps") if line.endswith("[heap]\\n")]
first, end = (int(part, 16) for part in heap.split("-"))
print("in the heap" if first <= id(block) < end else "apart")
"""
"""Serves, and says where the C library puts a large block that comes after a larger one."""


def test_a_table_that_is_made_anew_never_lies_in_the_heap(tmp_path: Path) -> None:
    with start_server(ACCOUNTS, tmp_path) as server:
        file = tmp_path / "second.conf"
        file.write_text("\n".join([*ACCOUNTS, f"listening-port={server.port}"]))
        words = ["serve", "-c", str(file), "--listening-ip=127.0.0.1"]  # it ends: the port is taken
        ran = subprocess.run(
            [sys.executable, "-c", WHERE_BLOCKS_LIE, *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert "cannot listen" in ran.stderr
    assert ran.stdout.splitlines()[-1] == "apart", ran.stderr


def test_no_auth_lets_anyone_relay_when_it_is_asked_for(tmp_path: Path) -> None:
    packet = encode(MessageClass.REQUEST, Method.ALLOCATE, urandom(12), (UDP_TRANSPORT,))
    with (
        start_server(["no-auth", "realm=x"], tmp_path) as server,
        TurnClient(server.port, "", "") as client,
    ):
        response = client.ask(packet)
        assert response.code == 0
        assert response.message.first(Attribute.MESSAGE_INTEGRITY) is None


def test_external_ip_is_what_the_client_is_told(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, "external-ip=203.0.113.10/127.0.0.1"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as client,
    ):
        assert client.relayed().host == "203.0.113.10"


def test_without_relay_ip_the_relayed_address_is_where_the_packet_was_sent_to(
    tmp_path: Path,
) -> None:
    with start_server([*ACCOUNTS], tmp_path, addresses=[]) as server:
        for host in ("127.0.0.1", "127.0.0.2", "127.1.2.3"):
            with TurnClient(server.port, "alice", "sesame", host=host) as client:
                assert client.relayed().host == host


def test_two_clients_behind_one_external_ip_reach_each_other(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, "peer-policy=public", "external-ip=203.0.113.10/127.0.0.1"]
    with (
        start_server(lines, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as alice,
        TurnClient(server.port, "bob", "hunter2") as bob,
    ):
        first, second = alice.relayed(), bob.relayed()
        assert alice.bind(0x4000, second).code == 0
        assert bob.bind(0x4000, first).code == 0
        alice.send_on(0x4000, b"behind one roof")
        assert bob.receive_channel() == (0x4000, b"behind one roof")


def test_quotas_of_the_file_hold(tmp_path: Path) -> None:
    with start_server([*ACCOUNTS, "user-quota=1", "total-quota=2"], tmp_path) as server:
        clients = [
            TurnClient(server.port, *account)
            for account in [("alice", "sesame"), ("alice", "sesame"), ("bob", "hunter2")]
        ]
        assert [client.allocate().code for client in clients] == [0, 486, 0]
        name = "4000000000:carol"
        with TurnClient(server.port, name, password_for(name, "north")) as carol:
            assert carol.allocate().code == 486
        for client in clients:
            client.socket.close()


def test_a_log_that_nobody_reads_any_more_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "turnserver.conf"
    port = free_port()
    file.write_text("\n".join([*ACCOUNTS, f"listening-port={port}", "listening-ip=127.0.0.1"]))
    reader, writer = os.pipe()
    process = subprocess.Popen([FERRYMAN, "serve", "-c", str(file)], stderr=writer)
    os.close(writer)
    until = time.monotonic() + 20
    while not answers(port) and time.monotonic() < until:
        time.sleep(0.05)
    os.close(reader)
    for _ in range(3):
        for _ in range(60):
            with TurnClient(port, "alice", "wrong") as stranger:
                assert stranger.allocate().code == 401
        time.sleep(1.1)
    with TurnClient(port, "alice", "sesame") as client:
        assert client.allocate().code == 0
        process.terminate()
        assert process.wait(5) == 0


def test_running_out_of_descriptors_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "turnserver.conf"
    port = free_port()
    file.write_text("\n".join([*ACCOUNTS, f"listening-port={port}", "listening-ip=127.0.0.1"]))
    log = tmp_path / "log"
    command = ["/bin/bash", "-c", f"ulimit -n 100; exec {FERRYMAN} serve -c {file} 2>{log}"]
    process = subprocess.Popen(command)
    until = time.monotonic() + 20
    while not answers(port) and time.monotonic() < until:
        time.sleep(0.05)
    strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    with TurnClient(port, "alice", "sesame") as client:
        assert client.allocate().code in (0, 508)
    time.sleep(11)  # the chores of ten seconds come round meanwhile
    for stranger in strangers:
        stranger.close()
    time.sleep(0.5)
    with TurnClient(port, "alice", "sesame") as client:
        assert client.allocate().code == 0
    process.terminate()
    assert process.wait(5) == 0
    assert "Traceback" not in log.read_text()


def test_an_expired_credential_is_refused_at_the_next_refresh(tmp_path: Path) -> None:
    with start_server(ACCOUNTS, tmp_path) as server:
        name = f"{int(time.time()) + 3}:carol"
        with TurnClient(server.port, name, password_for(name, "north")) as client:
            assert client.allocate().code == 0
            assert client.refresh(600).code == 0
            time.sleep(4)
            assert client.refresh(600).code == 401
        assert logged(server, "the time-limited credential expired")


def test_a_reservation_token_gives_the_next_port_over_real_sockets(tmp_path: Path) -> None:
    even = (Attribute.EVEN_PORT, encode_even_port(True))
    with (
        start_server(ACCOUNTS, tmp_path) as server,
        TurnClient(server.port, "alice", "sesame") as first,
        TurnClient(server.port, "alice", "sesame") as second,
    ):
        response = first.allocate(even)
        token = response.message.first(Attribute.RESERVATION_TOKEN)
        assert token is not None
        rtp = response.address(Attribute.XOR_RELAYED_ADDRESS)
        assert rtp.port % 2 == 0
        rtcp = second.relayed((Attribute.RESERVATION_TOKEN, token))
        assert rtcp == rtp._replace(port=rtp.port + 1)
