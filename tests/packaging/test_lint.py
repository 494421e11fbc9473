"""The shell of packaging/ and its YAML, by the programs that know their traps."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.packaging.files import PACKAGING
from tests.servers import program


def is_shell(path: Path) -> bool:
    first = path.read_bytes().partition(b"\n")[0]
    return first.startswith(b"#!") and first.endswith((b"/sh", b"bash"))


SCRIPTS = sorted(path for path in PACKAGING.rglob("*") if path.is_file() and is_shell(path))
YAML = sorted(PACKAGING.rglob("*.yaml"))
RULES = "{extends: default, rules: {document-start: disable, line-length: {max: 100}}}"


def names(path: Path) -> str:
    return str(path.relative_to(PACKAGING))


@pytest.mark.parametrize("path", SCRIPTS, ids=names)
def test_shellcheck_finds_nothing(path: Path) -> None:
    assert said(program("shellcheck"), str(path)) == (0, "")


@pytest.mark.parametrize("path", YAML, ids=names)
def test_yamllint_finds_nothing(path: Path) -> None:
    assert said(program("yamllint"), "--strict", "--config-data", RULES, str(path)) == (0, "")


def test_there_is_something_to_look_at() -> None:
    found = {names(path) for path in (*SCRIPTS, *YAML)}
    expected = {"certbot/ferryman", "debian/postinst", "docker/entrypoint", "docker/compose.yaml"}
    assert expected <= found


def said(*command: str) -> tuple[int, str]:
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return found.returncode, found.stdout + found.stderr
