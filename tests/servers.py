"""Starts a server as its own process, waits until it answers, and stops it again.

The server is Ferryman, as `.venv/bin/ferryman serve`. With FERRYMAN_TEST_SERVER=coturn in the
environment it is Debian's turnserver with the same configuration file, which tells a fault of a
test from a fault of the server. Knows nothing about TURN beyond the Binding request that shows
that the server is up (RFC 8489 §5).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parent.parent
STARTS_WITHIN: Final = 20.0
STOPS_WITHIN: Final = 10.0
RELAY_PORTS: Final = 1_000
WORKERS: Final = os.environ.get("FERRYMAN_TEST_WORKERS", "2")
"""Worker threads of a server whose configuration names none, whatever this machine has."""
_WORKERS: Final = ("relay-threads", "cpus")
TRACES_OF_A_CRASH: Final = (
    "Traceback (most recent call last)",
    "panicked at",
    "Segmentation fault",
)

# All below 32768, from where Linux serves whoever asks for no port in particular.
LISTENING_PORTS: Final = range(10_000, 20_000, 2)
RELAY_RANGES: Final = range(20_000, 32_000, RELAY_PORTS)


def runs_coturn() -> bool:
    return os.environ.get("FERRYMAN_TEST_SERVER", "ferryman") == "coturn"


def program(name: str) -> str:
    """The path of another project's program; a missing one fails the test."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: run scripts/install-test-packages")
    return found


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def loopback_addresses() -> list[str]:
    return ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]


@dataclass(frozen=True)
class RunningServer:
    """A server that answers on `port` of every loopback address."""

    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    log_path: Path
    output_path: Path
    secret: str | None = field(default=None, repr=False)

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Stops it with SIGTERM; fails the test when it crashed or does not exit with 0."""
        code = self._terminate()
        for trace in TRACES_OF_A_CRASH:
            assert trace not in self.log, self.log
        # coturn dies of the signal instead of leaving.
        assert code == 0 or (runs_coturn() and code == -signal.SIGTERM), f"{code=}\n{self.log}"

    def _terminate(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(self, exception: type[BaseException] | None, *_: object) -> None:
        if exception is None:
            self.stop()
        else:
            self._terminate()


def start_server(
    configuration: Sequence[str],
    folder: Path,
    *,
    addresses: Sequence[str] | None = None,
    command: Sequence[str] = (),
    is_ready: Callable[[int], bool] | None = None,
) -> RunningServer:
    """Starts the server with these turnserver.conf lines; `folder` takes its files.

    Adds a free listening port, a relay range of its own, WORKERS and, for each of `addresses` (by
    default every loopback address), listening-ip and relay-ip. No addresses: the server's choice.
    `command` is run in place of `ferryman serve`. `is_ready`: whether what listens on a port is up,
    where it is not a Binding request that shows it.
    Fails the test when there is no answer within STARTS_WITHIN seconds.
    """
    port = free_port()
    first = random.choice(RELAY_RANGES)
    lines = [f"listening-port={port}", f"min-port={first}", f"max-port={first + RELAY_PORTS - 1}"]
    for address in loopback_addresses() if addresses is None else addresses:
        lines += [f"listening-ip={address}", f"relay-ip={address}"]
    if runs_coturn():
        lines += _coturn_files(folder)
        lines += [] if _value_of("cert", configuration) else ["no-tls"]
    elif not any(line.startswith(_WORKERS) for line in configuration):
        lines.append(f"relay-threads={WORKERS}")
    file = folder / "turnserver.conf"
    file.write_text("\n".join([*lines, *configuration, ""]))
    command = command or ([program("turnserver")] if runs_coturn() else [ferryman(), "serve"])
    secret = _value_of("static-auth-secret", configuration)
    return _start([*command, "-c", str(file)], port, folder, secret, is_ready or answers)


def start_with_embedded_defaults(folder: Path) -> tuple[RunningServer, Any]:
    """Starts the server without a configuration file; returns the JSON that it greets with, too."""
    if runs_coturn():
        return _coturn_with_greeting(folder)
    port = free_port()
    ports = [f"--listening-port={port}", f"--tls-listening-port={port + 1}"]
    flags = [*ports, f"--state-dir={folder / 'state'}", "--greeting"]
    server = _start([ferryman(), "serve", *flags], port, folder, None)
    return server, greeting_of(server)


def answers(port: int, *, address: str = "127.0.0.1") -> bool:
    """Whether a Binding request from a fresh socket has a success response within 0.2 s."""
    request = bytes.fromhex("000100002112a442") + secrets.token_bytes(12)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError):
        client.settimeout(0.2)
        client.connect((address, port))
        client.send(request)
        answer = client.recv(2048)
        return answer[:2] == b"\x01\x01" and answer[4:20] == request[4:20]
    return False


def _start(
    command: list[str],
    port: int,
    folder: Path,
    secret: str | None,
    is_ready: Callable[[int], bool] | None = None,
) -> RunningServer:
    log, output = folder / "server.log", folder / "server.out"
    with log.open("wb") as to_log, output.open("wb") as to_output:
        # coturn logs to standard output.
        first = to_log if runs_coturn() else to_output
        process = subprocess.Popen(command, stdout=first, stderr=to_log, cwd=folder)
    server = RunningServer(port, process, log, output, secret)
    try:
        _wait_until_it_answers(server, is_ready or answers)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


def _wait_until_it_answers(server: RunningServer, is_ready: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            pytest.fail(f"the server left with {server.process.returncode}:\n{server.log}")
        if is_ready(server.port):
            return
        time.sleep(0.05)
    pytest.fail(f"no answer to a Binding request in {STARTS_WITHIN} s:\n{server.log}")


def greeting_of(server: RunningServer) -> Any:
    """The JSON that a server prints which was started with --greeting."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        for document in _json_documents(server.output_path.read_text()):
            return document
        time.sleep(0.05)
    pytest.fail(f"no JSON on standard output:\n{server.output_path.read_text()}")


def _json_documents(text: str) -> Iterator[Any]:
    for start in (at for at, letter in enumerate(text) if letter == "{"):
        with contextlib.suppress(json.JSONDecodeError):
            yield json.JSONDecoder().raw_decode(text, start)[0]


def ferryman() -> str:
    path = Path(sys.executable).with_name("ferryman")
    if not path.exists():
        pytest.fail(f"{path} is missing: run make build")
    return str(path)


def free_port() -> int:
    """An even port that no UDP or TCP socket of the loopback addresses has, nor the one after."""
    for port in random.sample(LISTENING_PORTS, 100):
        pair = itertools.product(loopback_addresses(), (port, port + 1))
        if all(itertools.starmap(_can_bind, pair)):
            return port
    pytest.fail("no free port")


def _can_bind(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as udp,
        socket.socket(family, socket.SOCK_STREAM) as tcp,
    ):
        try:
            udp.bind((address, port))
            tcp.bind((address, port))
        except OSError:
            return False
    return True


def _value_of(key: str, configuration: Sequence[str]) -> str | None:
    found = (line.partition("=")[2] for line in configuration if line.startswith(f"{key}="))
    return next(found, None)


def _coturn_files(folder: Path) -> list[str]:
    files = [f"pidfile={folder}/turnserver.pid", f"userdb={folder}/turndb", "log-file=stdout"]
    return [*files, "no-dtls", "no-cli", "no-rfc5780", "verbose"]


def _coturn_with_greeting(folder: Path) -> tuple[RunningServer, Any]:
    lines = ["use-auth-secret", "static-auth-secret=north", "realm=example.org"]
    server = start_server([*lines, "allow-loopback-peers"], folder)
    username = f"{int(time.time()) + 3600}:you"
    digest = hmac.digest(b"north", username.encode(), hashlib.sha1)
    urls = [f"turn:127.0.0.1:{server.port}?transport={name}" for name in ("udp", "tcp")]
    credential = base64.b64encode(digest).decode()
    entry = {"urls": urls, "username": username, "credential": credential}
    return server, {"iceServers": [entry]}
