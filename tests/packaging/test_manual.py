"""The manual pages name every key that is honoured."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ferryman.config.option import State
from ferryman.config.table import OPTIONS
from tests.packaging.files import PACKAGING


def printed(page: str) -> str:
    command = [sys.executable, str(PACKAGING / "debian/manual.py"), page]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_ferryman_names_every_key_that_is_honoured() -> None:
    page = printed("ferryman").replace("\\-", "-")
    for option in OPTIONS:
        assert (f"\\fB{option.name}\\fR" in page) is (option.state is State.HONOURED), option.name


@pytest.mark.parametrize("page", ["ferryman", "turnserver"])
def test_a_page_is_ascii_and_has_its_parts(page: str) -> None:
    text = printed(page)
    assert text.isascii()
    assert [part for part in (".SH NAME", ".SH SYNOPSIS", ".SH FILES") if part not in text] == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_every_signal_that_the_server_listens_to_is_told(name: str) -> None:
    _, _, signals = printed("ferryman").partition(".SH SIGNALS\n")
    assert name in signals.partition(".SH")[0]
