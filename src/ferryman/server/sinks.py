"""Where finished lines of the log go: a stream, a file that may be rotated, syslog (RFC 3164).

Each raises OSError when it is made and cannot be used; after that nothing does: a line that cannot
be written is lost and counted, for no line is worth a call. Knows nothing of how lines read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TextIO

LOOK_SECONDS = 1.0
"""How often a file is looked for under its name, for somebody may have moved it away."""

SYSLOG_SOCKET = Path("/dev/log")
LOG_DAEMON = 3
"""The facility of servers (RFC 5424 §6.2.1)."""
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


class Sink(Protocol):
    """`lost`: lines that could not be written since the last time that one could. `stuck`: why no
    new file could be opened in place of one that was moved away; "" where nothing is wrong."""

    lost: int
    failing: bool
    stuck: str

    def write_line(self, line: str, level: str) -> None:
        """Take a line, without its end; it may wait for `flush`."""

    def flush(self) -> None: ...

    def reopen(self) -> None:
        """Begin anew under the same name: whatever is there now was moved away."""

    def give_to(self, user: int, group: int) -> None:
        """Make what was opened another user's, who will have to reopen it."""

    def close(self) -> None: ...


class StandardStream:
    """stderr or stdout, or any open text stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steady = contextlib.suppress(OSError, ValueError)
        self.lost = 0
        self.failing = False
        self.stuck = ""

    def write_line(self, line: str, level: str) -> None:
        with self._steady:
            self._stream.write(line + "\n")

    def flush(self) -> None:
        with self._steady:
            self._stream.flush()

    def reopen(self) -> None:
        """Nobody moves a stream away."""

    def give_to(self, user: int, group: int) -> None:
        """It stays open."""

    def close(self) -> None:
        """It was open before, and stays open."""


class LogFile:
    """A file that lines are appended to, and that may be moved away at any time.

    `daily`: the name gets the local date, as coturn's has it (`turn.log` is `turn_2026-01-02.log`).
    """

    def __init__(
        self, path: Path, *, daily: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._daily = daily
        self._clock = clock
        self._pending: list[str] = []
        self._torn = False
        self.lost = 0
        self.failing = False
        self.stuck = ""
        self._descriptor = -1
        self._open()

    @property
    def path(self) -> Path:
        """The file of this moment."""
        return dated(self._path, self._clock()) if self._daily else self._path

    def write_line(self, line: str, level: str) -> None:
        self._pending.append(line)

    def flush(self) -> None:
        if not self._pending:
            return
        if abs(self._clock() - self._looked) >= LOOK_SECONDS:
            self._look()
        lines, self._pending = self._pending, []
        self._write("".join(f"{line}\n" for line in lines).encode("ascii", "backslashreplace"))

    def reopen(self) -> None:
        """What waits goes into the old file. If there can be no new one, the old one stays."""
        self.flush()
        self._begin_anew()

    def give_to(self, user: int, group: int) -> None:
        """A device is nobody's."""
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                os.fchown(self._descriptor, user, group)

    def close(self) -> None:
        self.flush()
        os.close(self._descriptor)

    def _open(self) -> None:
        # Not blocking, for the name may be a pipe that nobody reads.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        self._descriptor = _opened(self.path, flags)
        self._torn = False
        self._looked = self._clock()

    def _look(self) -> None:
        """Reopen where the name leads elsewhere by now: a new day, or the file was moved away."""
        self._looked = self._clock()
        try:
            found, ours = os.stat(self.path), os.fstat(self._descriptor)
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                return
        except OSError:
            pass  # not there, so that a new one is to be made
        self._begin_anew()

    def _begin_anew(self) -> None:
        old = self._descriptor
        try:
            self._open()
        except OSError as error:
            self.stuck = f"{self.path}: {error.strerror}"
        else:
            os.close(old)
            self.stuck = ""

    def _write(self, data: bytes) -> None:
        """All of it, or as much as there is room for; half a line is closed by the next write."""
        data = b"\n" + data if self._torn else data
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError:
            self.lost += data.count(b"\n", max(written, int(self._torn)))
        self.failing = written < len(data)
        if written:
            self._torn = not data[:written].endswith(b"\n")


def _opened(path: Path, flags: int) -> int:
    """A descriptor. root follows no link that somebody else could have put there: it would write to
    whatever that user wishes, and hand it over with `give_to`."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        is_guarded = os.geteuid() == 0 and not _is_roots_alone(os.fstat(folder))
        if not is_guarded:
            return os.open(path.name, flags, 0o640, dir_fd=folder)
        return _opened_without_links(path.name, flags, folder)
    finally:
        os.close(folder)


def _opened_without_links(name: str, flags: int, folder: int) -> int:
    text = "it is a link, in a folder that is not root's alone"
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW, 0o640, dir_fd=folder)
    except OSError as error:
        raise OSError(error.errno, text) if error.errno == errno.ELOOP else error from None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EMLINK, text)
    return descriptor


def _is_roots_alone(folder: os.stat_result) -> bool:
    return folder.st_uid == 0 and not folder.st_mode & 0o022


def dated(path: Path, at: float) -> Path:
    """coturn's name for the file of a day: the date before the suffix, which is .log if missing."""
    date = time.strftime("%Y-%m-%d", time.localtime(at))
    stem, dot, suffix = path.name.replace(" ", "_").rpartition(".")
    if not dot:
        stem, suffix = suffix, "log"
    joint = "" if not stem or stem.endswith(("-", "_")) else "_"
    return path.with_name(f"{stem}{joint}{date}.{suffix or 'log'}")


class Syslog:
    """The machine's syslog; `facility` is its number (RFC 3164 §4.1.1)."""

    def __init__(self, facility: int, name: str, path: Path = SYSLOG_SOCKET) -> None:
        self._facility = facility
        self._name = name
        self._path = path
        self.lost = 0
        self.failing = False
        self.stuck = ""
        self._socket = self._connected()

    def write_line(self, line: str, level: str) -> None:
        """At once. When syslog was restarted its socket is another one, so that there is a second
        attempt."""
        try:
            self._send(line, level)
        except OSError:
            try:
                self._socket.close()
                self._socket = self._connected()
                self._send(line, level)
            except OSError:
                self.lost += 1
                self.failing = True

    def flush(self) -> None:
        """Nothing waits."""

    def reopen(self) -> None:
        """Somebody else's business."""

    def give_to(self, user: int, group: int) -> None:
        """Everybody may use it."""

    def close(self) -> None:
        self._socket.close()

    def _connected(self) -> socket.socket:
        # Not blocking: a syslog that hangs must not hang us.
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            plug.connect(str(self._path))
        except OSError:
            plug.close()
            raise
        return plug

    def _send(self, line: str, level: str) -> None:
        priority = self._facility * 8 + _PRIORITIES.get(level, 6)
        stamp = time.strftime("%b %e %H:%M:%S")
        text = f"<{priority}>{stamp} {self._name}[{os.getpid()}]: {line}"
        self._socket.send(text.encode("ascii", "backslashreplace"))
        self.failing = False
