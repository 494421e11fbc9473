"""The command line: every key as a flag, help that can be read, and exit statuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ferryman import __version__
from ferryman.config import Configuration
from ferryman.config.option import State
from ferryman.config.table import OPTIONS
from ferryman.config.values import LogOutput, LogStream
from ferryman.tools.command_line import ServeFlags, command_line, turnserver_command

SECRET = "hush-4711-hush"


@dataclass
class Program:
    """The `ferryman` program with a server that only remembers what it was given."""

    started: list[tuple[Configuration, ServeFlags]] = field(default_factory=list)
    status: int = 0

    def serve(self, configuration: Configuration, flags: ServeFlags) -> int:
        self.started.append((configuration, flags))
        return self.status

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(command_line(self.serve), arguments)

    def configuration(self, *arguments: str) -> Configuration:
        result = self.run("serve", *arguments)
        assert result.exit_code == 0, result.output
        return self.started[-1][0]

    def turnserver(self, *arguments: str) -> Configuration:
        result = CliRunner().invoke(turnserver_command(self.serve), arguments)
        assert result.exit_code == 0, result.output
        return self.started[-1][0]


@pytest.fixture
def program() -> Program:
    return Program()


def test_serve_hands_over_configuration_and_flags(program: Program) -> None:
    program.status = 3
    result = program.run("serve", "--greeting", "--listening-port=3479")
    ((configuration, flags),) = program.started
    assert result.exit_code == 3
    assert flags == ServeFlags(greeting=True)
    assert configuration.listening_port == 3479


@pytest.mark.parametrize(
    ("arguments", "attribute", "value"),
    [
        (["--stale-nonce", "10"], "nonce_lifetime", 10),
        (["--stale-nonce=10"], "nonce_lifetime", 10),
        (["--stale-nonce"], "nonce_lifetime", 600),
        (["--stale-nonce", "--fingerprint"], "nonce_lifetime", 600),
        (["--fingerprint"], "fingerprint", True),
        (["--fingerprint=no"], "fingerprint", False),
        (["--fingerprint", "no"], "fingerprint", False),
        (["--fingerprint", "--no-udp"], "fingerprint", True),
        (["-f"], "fingerprint", True),
        (["-vf"], "fingerprint", True),
        (["-p", "3479"], "listening_port", 3479),
        (["-p3479"], "listening_port", 3479),
        (["--listening-port", "3479"], "listening_port", 3479),
        (["--min-port", "50000", "--min-port", "51000"], "min_port", 51000),
        (["-V"], "log_level.value", "debug"),
        (["--Verbose"], "log_level.value", "debug"),
        (["-A", "keep"], "default_family.value", "keep"),
        (["-K"], "default_family.value", "keep"),
        (["--state-dir=/srv"], "state_dir", Path("/srv")),
        (["-z"], "no_auth", True),
        (["--pidfile="], "no_auth", False),
    ],
)
def test_keys_are_flags_in_coturns_spelling(
    program: Program, arguments: list[str], attribute: str, value: object
) -> None:
    found: object = program.configuration(*arguments)
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


def test_flags_that_repeat_add_up(program: Program) -> None:
    configuration = program.configuration("-u", "a:b", "--user=c:d", "-u", "e:f", "-L", "::1")
    assert [user.name for user in configuration.users] == ["a", "c", "e"]
    assert len(configuration.listening_ips) == 1


def test_every_key_is_a_flag(program: Program) -> None:
    group = command_line(program.serve)
    serve = group.commands["serve"]
    spelled = {name for parameter in serve.params for name in parameter.opts}
    keys = {option.name for option in OPTIONS} - {"version", "help"}
    assert [key for key in keys if f"--{key}" not in spelled] == []
    assert [o.short for o in OPTIONS if o.short and f"-{o.short}" not in spelled] == []


def test_a_file_is_read_and_n_reads_none(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("user=a:b\nlistening-pi=1\n")
    assert program.run("serve", "-c", str(path)).exit_code == 1
    assert program.run("serve", "-c", str(path), "-n").exit_code == 0
    assert program.started[-1][0].file is None


def test_the_guides_service_line_starts(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "turnserver.conf"
    path.write_text("user=a:b\n")
    configuration = program.turnserver(
        *("--daemon", "-c", str(path), "--pidfile", "/run/turnserver/turnserver.pid"),
        *("--no-stdout-log", "--simple-log", "--log-file", "/var/log/turnserver/turnserver.log"),
    )
    assert configuration.file == path
    assert configuration.daemon
    assert configuration.pid_file == Path("/run/turnserver/turnserver.pid")
    output = LogOutput(LogStream.NONE, Path("/var/log/turnserver/turnserver.log"))
    assert configuration.log_output == output
    assert program.started[-1][1] == ServeFlags(program="turnserver")


@pytest.mark.parametrize(
    ("arguments", "attribute", "value"),
    [
        (["-n", "-o"], "daemon", True),
        (["-n", "--daemon"], "daemon", True),
        (["-n", "-v", "-f", "-o"], "fingerprint", True),
        (["-nvfo"], "daemon", True),
        (["-n", "-l", "stdout"], "log_output.stream", LogStream.STDOUT),
        (["-n", "-L", "127.0.0.1", "-p", "3479", "-E", "127.0.0.1"], "listening_port", 3479),
        (["-n", "-a", "-u", "a:b", "-r", "r"], "realm", "r"),
        (["-n", "-q", "7", "-Q", "8"], "total_quota", 8),
        (["-n", "--pidfile="], "pid_file", None),
        (["-n", "-o", "--pidfile", ""], "pid_file", None),
        (["-n", "-m", "4", "-B", "8", "-s", "4"], "capacity", 8),
    ],
)
def test_turnserver_takes_coturns_flags(
    program: Program, arguments: list[str], attribute: str, value: object
) -> None:
    found: object = program.turnserver(*arguments)
    for name in attribute.split("."):
        found = getattr(found, name)
    assert found == value


def test_turnserver_finds_its_file_where_coturn_does(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "turnserver.conf").write_text("user=a:b\nlistening-port=3499\n")
    assert program.turnserver().listening_port == 3499
    assert program.turnserver("-n").listening_port == 3478


def test_turnserver_has_a_version_and_help(program: Program) -> None:
    command = turnserver_command(program.serve)
    assert CliRunner().invoke(command, ["--version"]).output == f"ferryman {__version__}\n"
    assert "--listening-port" in CliRunner().invoke(command, ["-h"]).output


def test_problems_go_to_stderr_and_nothing_starts(program: Program) -> None:
    result = program.run("serve", "--listening-port=x", "--min-port=0")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: command line: listening-port: expected a port from 0 to 65535, got 'x'",
        "error: command line: min-port: expected a port from 1 to 65535, got '0'",
        "2 problems, the server does not start",
    ]
    assert program.started == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--listening-prot=1"], "--listening-port"),
        (["serve", "--user"], "requires an argument"),
        (["serve", "stray"], "unexpected argument"),
        (["serv"], "No such command"),
        (["check-config"], "Missing argument"),
    ],
)
def test_wrong_usage_exits_with_2(program: Program, arguments: list[str], said: str) -> None:
    result = program.run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert program.started == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--user", "=", f"a:{SECRET}"],
        ["--user", f"a:0x{SECRET}"],
        ["--user", f":{SECRET}"],
        ["--static-auth-secrt", SECRET],
        [f"--static-auth-secrt={SECRET}"],
        ["--static-auth-secret", "", SECRET],
        [f"--cli-password={SECRET}", "--listening-port=x"],
        [f"--use-auth-secret={SECRET}"],
        [SECRET],
    ],
)
def test_no_secret_is_ever_printed(program: Program, arguments: list[str]) -> None:
    result = program.run("serve", *arguments)
    assert result.exit_code != 0
    assert SECRET not in result.output
    assert program.started == []


def test_help_has_a_line_for_every_key_that_is_honoured(program: Program) -> None:
    text = program.run("serve", "--help").output
    for option in OPTIONS:
        assert (f"--{option.name}" in text) or option.state is not State.HONOURED, option.name
    assert "--prometheus" not in text
    assert "Who may relay:" in text
    assert program.run("serve", "-h").output == text


def test_help_all_has_a_line_for_every_key_and_its_state(program: Program) -> None:
    result = program.run("serve", "--help-all")
    assert result.exit_code == 0
    assert [option.name for option in OPTIONS if f"--{option.name}" not in result.output] == []
    assert "not built yet" in result.output


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_the_program_explains_itself(program: Program, arguments: Sequence[str]) -> None:
    output = program.run(*arguments).output
    assert "serve" in output
    assert "check-config" in output


def test_the_version_is_one_line(program: Program) -> None:
    assert program.run("--version").output == f"ferryman {__version__}\n"


def test_every_line_of_help_fits_a_terminal(program: Program) -> None:
    group = command_line(program.serve)
    context = click.Context(group.commands["serve"], info_name="serve", terminal_width=80)
    assert [line for line in context.get_help().splitlines() if len(line) > 80] == []
