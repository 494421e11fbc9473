"""SIGUSR1 and SIGTERM with drain-timeout over the real process: calls go on, nobody new comes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from ferryman.wire.registry import Attribute
from tests.running.conftest import logged
from tests.running.reloading import OPEN, Reloadable, call_of, reloadable
from tests.servers import answers
from tests.turn_client import TurnClient

ASKED = [signal.SIGUSR1, signal.SIGTERM]


def alice(port: int) -> TurnClient:
    return TurnClient(port, "alice", "sesame")


def drain(running: Reloadable, number: signal.Signals) -> None:
    running.server.process.send_signal(number)
    assert logged(running.server, "draining allocations=")


def newcomer(port: int) -> int:
    with TurnClient(port, "bob", "hunter2") as client:
        return client.allocate().code


def ended(running: Reloadable, seconds: float) -> float:
    """When it had ended, with 0, by the monotonic clock."""
    assert running.server.process.wait(seconds) == 0
    return time.monotonic()


@pytest.mark.parametrize("number", ASKED)
def test_a_call_goes_on_and_the_server_ends_with_it(tmp_path: Path, number: signal.Signals) -> None:
    with (
        reloadable(tmp_path, [*OPEN, "drain-timeout=60"]) as running,
        call_of(alice(running.port)) as call,
    ):
        drain(running, number)
        assert newcomer(running.port) == 403
        call.goes_on()
        assert call.client.refresh(600).code == 0
        assert call.client.bind(0x4001, call.peer.address._replace(port=9)).code == 0
        assert answers(running.port)
        call.goes_on()
        time.sleep(1.5)
        assert running.server.process.poll() is None
        call.goes_on()
        began = time.monotonic()
        call.client.refresh(0)
        assert ended(running, 5) - began < 4
        assert logged(running.server, 'drained why="enough have ended" allocations=0')
        call.is_over = True


@pytest.mark.parametrize("number", ASKED)
def test_at_the_deadline_the_server_ends_all_the_same(
    tmp_path: Path, number: signal.Signals
) -> None:
    with (
        reloadable(tmp_path, [*OPEN, "drain-timeout=2"]) as running,
        alice(running.port) as client,
    ):
        client.relayed()
        began = time.monotonic()
        drain(running, number)
        assert 2 <= ended(running, 10) - began < 6
        assert logged(running.server, "drained why=drain-timeout allocations=1")
        assert logged(running.server, 'why="server stopped"')


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        with (
            reloadable(folder, [*OPEN, "drain-timeout=600"]) as running,
            alice(running.port) as client,
        ):
            client.relayed()
            drain(running, signal.SIGTERM)
            began = time.monotonic()
            running.server.process.send_signal(number)
            assert ended(running, 5) - began < 3


def test_sigterm_without_drain_timeout_ends_at_once_also_while_draining(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, alice(running.port) as client:
        client.relayed()
        drain(running, signal.SIGUSR1)
        time.sleep(1.5)
        assert running.server.process.poll() is None
        running.server.process.send_signal(signal.SIGTERM)
        ended(running, 5)


def test_new_clients_are_sent_elsewhere_while_draining(tmp_path: Path) -> None:
    lines = [*OPEN, "alternate-server=127.0.0.1:{port}", "alternate-server=127.0.0.9"]
    with reloadable(tmp_path) as running:
        running.change(*[("", line.format(port=running.port)) for line in lines[-2:]])
        with call_of(alice(running.port)):
            drain(running, signal.SIGUSR1)
            assert newcomer(running.port) == 300


def test_no_relay_socket_is_opened_while_draining(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)):
        drain(running, signal.SIGUSR1)
        before = descriptors(running)
        for _ in range(5):
            assert newcomer(running.port) == 403
        time.sleep(1.5)
        assert descriptors(running) <= before


def descriptors(running: Reloadable) -> int:
    return len(list(Path(f"/proc/{running.server.process.pid}/fd").iterdir()))


def test_a_reload_while_draining_takes_effect_and_ends_no_draining(tmp_path: Path) -> None:
    with reloadable(tmp_path) as running, call_of(alice(running.port)) as call:
        drain(running, signal.SIGUSR1)
        running.change(("", "max-allocate-lifetime=60"))
        assert call.client.refresh(600).message.first(Attribute.LIFETIME) == (60).to_bytes(4, "big")
        assert newcomer(running.port) == 403
