"""Tells systemd how the server is (sd_notify): ready, reloading, stopping, alive.

One datagram to the socket that the environment names; nothing where it names none. Whoever does
not listen is not missed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_MICROSECONDS = 1_000_000
_MARGIN = 10
"""Seconds that a server may need to stop once it has drained."""


class ServiceManager:
    """Without NOTIFY_SOCKET there is none, and nothing happens."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._socket_name = "\0" + name[1:] if name.startswith("@") else name
        self._environment = environment
        self._status = "serving"

    @property
    def waits_for_this_process(self) -> bool:
        """Whether it has started this very process and is to hear from it, so that there is no way
        into the background. systemd says since 248 whom it has started."""
        started = self._environment.get("SYSTEMD_EXEC_PID", "")
        is_this = started == str(os.getpid()) if started else os.getppid() == 1
        return bool(self._socket_name) and is_this

    @property
    def watchdog_seconds(self) -> float | None:
        """How long it waits for `alive` before it takes the server for stuck; None: for ever."""
        named = self._environment.get("WATCHDOG_USEC", "")
        of_another = self._environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid())
        if not self._socket_name or of_another or not named.isdecimal() or not int(named):
            return None
        return int(named) / _MICROSECONDS

    def ready(self) -> None:
        self._tell("READY=1", f"STATUS={self._status}")

    def reloading(self) -> None:
        """To be followed by `reloaded`, however it went."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self, trouble: str) -> None:
        """`trouble`: why nothing has changed, in one line; empty where it has."""
        said = f"{self._status}; not reloaded: {trouble}" if trouble else self._status
        self._tell("READY=1", f"STATUS={said}")

    def draining(self, seconds: int) -> None:
        """The server will end by itself, in so many seconds at most where it is not 0. Whoever
        waits for that is asked to wait as long, and a little longer."""
        self._status = "draining"
        more = (seconds + _MARGIN) * _MICROSECONDS
        patience = [f"EXTEND_TIMEOUT_USEC={more}"] if seconds else []
        self._tell(f"STATUS={self._status}", *patience)

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=stopping")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell(self, *assignments: str) -> None:
        if not self._socket_name:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as plain,
        ):
            plain.setblocking(False)
            plain.sendto("\n".join(assignments).encode(errors="replace"), self._socket_name)
