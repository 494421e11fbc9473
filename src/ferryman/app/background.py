"""A server that goes into the background (`daemon`): the process that was started waits until the
one that stays serves, or cannot, and ends with its exit status.
"""

from __future__ import annotations

import contextlib
import os


class Background:
    """The process that stays; `ready` sends the other one home."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def ready(self) -> None:
        """Let go of the terminal and tell the process that was started to end well."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        if nothing > 2:
            os.close(nothing)
        with contextlib.suppress(BrokenPipeError):  # it was ended meanwhile; the server serves
            os.write(self._parent, b"\n")
        os.close(self._parent)


def detach() -> Background | int:
    """Fork. Returns twice: in the process that stays its way home, in the other an exit status,
    once it is known.

    To be called while there is no thread and no event loop. Until `ready` the process that stays
    has the terminal's stderr, so that whoever started it reads why it cannot serve.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        return Background(writer)
    os.close(writer)
    return _status(reader, child)


def _status(reader: int, child: int) -> int:
    """0 when the child serves, else what it ended with; 1 when a signal ended it."""
    with os.fdopen(reader, "rb") as told:
        if told.read(1):
            return 0
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 1
