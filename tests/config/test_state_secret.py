"""The secret that a server makes for itself on first start."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ferryman.config.state_file import StateFileError
from ferryman.config.state_secret import FILE_NAME, read_or_make


def test_it_is_made_once_and_read_from_then_on(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    first = read_or_make(folder).get_secret_value()
    assert len(bytes.fromhex(first)) == 32
    assert read_or_make(folder).get_secret_value() == first
    assert read_or_make(tmp_path / "b").get_secret_value() != first


def test_only_the_owner_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        read_or_make(tmp_path / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    read_or_make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    read_or_make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_servers_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read_or_make(tmp_path).get_secret_value(), range(64)))
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o601])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    secret = read_or_make(tmp_path).get_secret_value()
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(StateFileError, match=rf"others may read it \(mode {mode:04o}\)") as caught:
        read_or_make(tmp_path)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"\x00" * 64, "ä".encode() * 32])
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StateFileError, match="holds no secret; delete it"):
        read_or_make(tmp_path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("0" * 64)
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateFileError, match=FILE_NAME):
        read_or_make(tmp_path)


def test_a_pipe_does_not_hold_up_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME, 0o600)
    with pytest.raises(StateFileError, match="expected a file"):
        read_or_make(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError, match="set state-dir"):
        read_or_make(tmp_path / "file" / "state")
