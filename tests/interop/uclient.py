"""Runs coturn's `turnutils_uclient` and reads what it prints.

It leaves with 0 whether or not its packets arrived, so its report is what counts.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers import program

ENDS_WITHIN: Final = 60.0

_TOTALS: Final = re.compile(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)\s*$", re.M)
_OCTETS: Final = re.compile(
    r"start_mclient: tot_send_bytes ~ (\d+), tot_recv_bytes ~ (\d+)\s*$", re.M
)
_LOST: Final = re.compile(r"Total lost packets (-?\d+) ")
_RELAYED: Final = re.compile(r"Received relay addr: (\S+):(\d+)\s*$", re.M)


@dataclass(frozen=True)
class Report:
    """What one run printed; the counts are None when it never got as far as relaying."""

    text: str
    messages: tuple[int, int] | None  # sent, received
    octets: tuple[int, int] | None
    lost: int | None
    relayed: list[str]  # with -v: the address of each allocation, without its port

    def shows_that_nothing_was_lost(self, *, messages: int, octets: int) -> None:
        """Fails the test unless exactly so much was sent, and all of it came back."""
        assert self.messages == (messages, messages), self.text
        assert self.octets == (octets, octets), self.text
        assert self.lost == 0, self.text

    def shows_that_nothing_was_allocated(self) -> None:
        """Fails the test unless the client gave up for want of an allocation."""
        assert "Cannot complete Allocation" in self.text, self.text
        assert self.messages is None, self.text
        assert not self.relayed, self.text


def read_report(text: str) -> Report:
    lost = _LOST.search(text)
    return Report(
        text,
        messages=_pair(_TOTALS, text),
        octets=_pair(_OCTETS, text),
        lost=int(lost[1]) if lost else None,
        relayed=[found[1] for found in _RELAYED.finditer(text)],
    )


@dataclass(frozen=True)
class RunningClient:
    process: subprocess.Popen[bytes]
    output: Path

    def report(self) -> Report:
        """Waits for the end; a client that hangs is killed, and its report says how far it got."""
        try:
            self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
        return read_report(self.output.read_text(errors="replace"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def start_uclient(
    arguments: list[str], output: Path, *, client: str = "turnutils_uclient"
) -> RunningClient:
    """Starts the client; `output` takes what it prints."""
    command = [program(client), *arguments]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    return RunningClient(process, output)


def _pair(pattern: re.Pattern[str], text: str) -> tuple[int, int] | None:
    found = pattern.search(text)
    return (int(found[1]), int(found[2])) if found else None
