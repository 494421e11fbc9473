"""external-ip at the running server: a name that changes, and a real STUN server that is asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from ferryman.server.stun_question import mapped_ip
from ferryman.wire.address import Address
from tests.running.conftest import ACCOUNTS, logged
from tests.running.reloading import reloadable
from tests.servers import RunningServer, free_port, start_server
from tests.turn_client import TurnClient

FERRYMAN = str(Path(sys.executable).with_name("ferryman"))
RENAMED = Path(__file__).with_name("renamed.py")


def relayed_host(server: RunningServer) -> str:
    with TurnClient(server.port, "alice", "sesame") as client:
        return client.relayed().host


def test_a_name_that_changes_is_followed_and_open_allocations_keep_their_address(
    tmp_path: Path,
) -> None:
    names = tmp_path / "names"
    names.write_text("9.9.9.5")
    # Read as the system has it when the server starts, and from the file from then on.
    lines = [*ACCOUNTS, "peer-policy=public", "external-ip=localhost/127.0.0.1"]
    command = [sys.executable, str(RENAMED), str(names), "serve"]
    with start_server(lines, tmp_path, addresses=["127.0.0.1"], command=command) as server:
        changed = "the external address has changed"
        assert logged(server, changed)[0].endswith("source=localhost address=9.9.9.5")
        with TurnClient(server.port, "alice", "sesame") as alice:
            before = alice.relayed()
            assert before.host == "9.9.9.5"
            own = Address.of("9.9.9.6", 22)
            assert alice.permit(own).code == 0
            names.write_text("9.9.9.6")
            assert logged(server, "address=9.9.9.6")
            assert relayed_host(server) == "9.9.9.6"
            with TurnClient(server.port, "alice", "sesame") as other:
                other.relayed()
                assert other.permit(own).code == 403
                assert other.permit(before).code == 0
                assert other.permit(before._replace(port=22)).code == 403
            assert alice.refresh(600).code == 0
            names.write_text("")
            assert logged(server, "external-ip is not answered, the last address stays")
            assert relayed_host(server) == "9.9.9.6"
            names.write_text("9.9.9.6")
            assert logged(server, "external-ip is answered again")
        assert len(logged(server, "external-ip is not answered")) == 1


def test_another_ferryman_says_where_we_come_from(server: RunningServer, tmp_path: Path) -> None:
    asked = Address.of("127.0.0.1", server.port)
    for own in ("127.0.0.1", "127.0.0.3"):
        assert asyncio.run(mapped_ip(asked, Address.of(own, 0).ip)) == Address.of(own, 0).ip
    lines = [*ACCOUNTS, "external-ip=auto", f"external-ip-stun=127.0.0.1:{server.port}"]
    with start_server(lines, tmp_path, addresses=["127.0.0.1"]) as automatic:
        assert logged(automatic, "external address")[0].endswith("source=auto address=127.0.0.1")
        assert relayed_host(automatic) == "127.0.0.1"


def test_a_stun_server_that_is_not_there_stops_the_start_with_one_line(tmp_path: Path) -> None:
    flags = [f"--listening-port={free_port()}", "--no-auth", "--relay-ip=127.0.0.1"]
    asked = f"--external-ip-stun=127.0.0.1:{free_port()}"
    started = subprocess.run(
        [FERRYMAN, "serve", *flags, "--external-ip=auto", asked],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert started.returncode == 1
    errors = [line for line in started.stderr.splitlines() if " error " in line]
    assert len(errors) == 1
    assert "external-ip=auto: [Errno 111] Connection refused" in errors[0]
    assert "Traceback" not in started.stderr


def test_a_relay_address_that_the_machine_has_not_is_told_at_once(tmp_path: Path) -> None:
    lines = [*ACCOUNTS, "relay-ip=203.0.113.9", "relay-ip=127.0.0.1"]
    with reloadable(tmp_path, lines, addresses=()) as running:
        (line,) = logged(running.server, "relay-ip is no address of this machine")
        assert line.endswith("ip=203.0.113.9")
        assert "reloaded changed=relay-ips" in running.change(("", "relay-ip=127.0.0.2"))
        verdict = running.change(("", "relay-ip=203.0.113.10"), ("user=bob:hunter2", ""))
        assert verdict.endswith(
            'not reloaded, all stays as it was reason="relay-ip: 203.0.113.10 is no address of '
            'this machine"'
        )
        with TurnClient(running.port, "bob", "hunter2") as client:
            assert client.relayed().host in ("127.0.0.1", "127.0.0.2")
