"""A configuration that is read while somebody writes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ferryman.config import ConfigurationError, load
from ferryman.config.settled_file import PATIENCE, UnsettledError, settled


def steps(*work: Callable[[], object]) -> Callable[[float], None]:
    """A pause in which somebody else does the next thing, as long as there is one."""
    waiting = list(work)

    def pause(seconds: float) -> None:
        if waiting:
            waiting.pop(0)()

    return pause


def test_half_a_file_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("user=a:b\n")
    more = "denied-peer-ip=10.0.0.0/8\n"
    found = settled(path, steps(lambda: path.write_text(""), lambda: path.write_text(more)))
    assert found.decode() == more


def test_a_file_that_was_written_long_ago_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("user=a:b\n")
    os.utime(path, (1, 1))
    assert settled(path, lambda seconds: pytest.fail("waited")) == b"user=a:b\n"


def test_a_file_that_never_stays_the_same_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("user=a:b\n")
    lines = [lambda number=number: path.write_text(f"#{number}") for number in range(PATIENCE + 1)]
    with pytest.raises(UnsettledError, match="being written"):
        settled(path, steps(*lines))


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_good_for_a_start_and_for_no_reload(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_bytes(content)
    load(path, [])
    with pytest.raises(ConfigurationError, match="it is empty"):
        load(path, [], again=True)


def test_a_pipe_is_no_file_to_wait_for(tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    os.mkfifo(path)
    with pytest.raises(ConfigurationError, match="expected a file"):
        load(path, [], again=True)
