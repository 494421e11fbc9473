"""The chores of a running server, where they can be tried without one."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman.app.log_output import open_log_output
from ferryman.app.nonces import clock_watch
from ferryman.app.own_addresses import own_address_watch
from ferryman.config.values import LogOutput, LogStream
from ferryman.engine.nonce import Nonces
from ferryman.engine.peer_rules import PeerPolicy, PeerRules
from ferryman.engine.settings import SECOND
from ferryman.engine.settings import Settings as EngineSettings
from ferryman.engine.state import State
from ferryman.engine.ticket import Tickets
from ferryman.server.log import Format, make_log
from ferryman.server.own_addresses import interface_addresses, primary_address
from ferryman.server.settings import Settings
from ferryman.wire.address import Address, Family


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    held = [os.open("/dev/null", os.O_RDONLY)]
    while held[-1] <= highest:
        held.append(os.open("/dev/null", os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[-1] + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)


def watched(own: frozenset[bytes]) -> State:
    rules = PeerRules(PeerPolicy.PUBLIC, (), (), False, False, own)
    return State(
        EngineSettings(realm="r"), rules, Nonces(b"s", 600), lambda: bytes(8), Tickets(bytes(64))
    )


def test_the_peer_rules_follow_the_machines_addresses() -> None:
    state = watched(frozenset())
    own_address_watch(state, lambda: Settings(listeners=()), make_log(Format.TEXT))()
    assert Address.of("127.0.0.1", 0).ip in state.peer_rules.own


def test_without_descriptors_the_addresses_stay_as_they_were() -> None:
    own = frozenset((Address.of("192.0.2.99", 0).ip,))
    state = watched(own)
    refresh = own_address_watch(state, lambda: Settings(listeners=()), make_log(Format.TEXT))
    with no_descriptors_left():
        with pytest.raises(OSError, match="open files"):
            interface_addresses()
        refresh()
        assert primary_address(Family.IPV4) is None
    assert state.peer_rules.own == own


def test_a_log_that_can_go_nowhere_else_goes_to_stderr_and_says_why(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = LogOutput(LogStream.NONE, tmp_path, facility=3)
    nowhere = tmp_path / "no-syslog"
    stream, complaints, on_stderr = open_log_output(output, "ferryman", syslog=nowhere)
    assert on_stderr
    assert complaints == [
        f"log-file: {tmp_path} cannot be opened: Is a directory; the log goes to stderr",
        "syslog cannot be opened: No such file or directory; the log goes to stderr",
    ]
    stream.write_line("hello", "info")
    assert capfd.readouterr().err == "hello\n"


def test_where_one_place_is_left_stderr_stays_silent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = LogOutput(LogStream.NONE, tmp_path / "turn.log", facility=3)
    nowhere = tmp_path / "no-syslog"
    stream, complaints, on_stderr = open_log_output(output, "ferryman", syslog=nowhere)
    assert not on_stderr
    assert complaints == ["syslog cannot be opened: No such file or directory"]
    stream.write_line("hello", "info")
    stream.close()
    assert (tmp_path / "turn.log").read_text() == "hello\n"
    assert capfd.readouterr().err == ""


def test_a_daemon_whose_log_file_cannot_be_opened_logs_to_syslog(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(tmp_path / "syslog"))
        stream, complaints, on_stderr = open_log_output(
            LogOutput(LogStream.NONE, tmp_path),
            "turnserver",
            in_background=True,
            syslog=tmp_path / "syslog",
        )
        stream.write_line("hello", "info")
        stream.close()
        assert daemon.recv(4096).endswith(b": hello")
    assert not on_stderr
    assert complaints == [
        f"log-file: {tmp_path} cannot be opened: Is a directory; the log goes to syslog"
    ]


def test_a_daemon_that_can_log_nowhere_says_so_before_it_leaves_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stream, complaints, _ = open_log_output(
        LogOutput(LogStream.NONE, tmp_path),
        "turnserver",
        in_background=True,
        syslog=tmp_path / "no",
    )
    assert complaints == [
        f"log-file: {tmp_path} cannot be opened: Is a directory; there is no log",
        "syslog cannot be opened: No such file or directory; there is no log",
    ]
    stream.write_line("hello", "info")
    assert capfd.readouterr().err == "hello\n"


def test_shared_nonces_follow_the_wall_clock_and_others_do_not() -> None:
    state = watched(frozenset())
    told: list[int] = []
    look = clock_watch(state, lambda: told.append(state.nonces.ahead))
    alone = state.nonces
    look()
    assert state.nonces is alone
    state.nonces = alone.at(time.time_ns() - time.monotonic_ns() + 2 * SECOND)
    look()
    (ahead,) = told
    assert abs(ahead - (time.time_ns() - time.monotonic_ns())) < SECOND
    look()
    assert len(told) == 1
