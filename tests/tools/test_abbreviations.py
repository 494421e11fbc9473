"""Long flags by their beginnings, as coturn's command lines may have them."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from ferryman.config import Configuration
from ferryman.config.table import BY_NAME
from ferryman.tools.abbreviations import OWN, whole_flags
from ferryman.tools.command_line import ServeFlags, command_line, turnserver_command
from tests.servers import REPOSITORY

COTURN = json.loads((REPOSITORY / "vectors" / "coturn_options.json").read_text())


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--lt-cred"], ["--lt-cred-mech"]),
        (["--listening-p=3479"], ["--listening-port=3479"]),
        (["--listening-p", "3479"], ["--listening-port", "3479"]),
        (["--user", "--lt-cred:x", "--lt-cred"], ["--user", "--lt-cred:x", "--lt-cred-mech"]),
        (["-u", "--lt-cred", "--lt-cred"], ["-u", "--lt-cred", "--lt-cred-mech"]),
        (["-vu", "--lt-cred"], ["-vu", "--lt-cred"]),
        (["-ualice:x", "--lt-cred"], ["-ualice:x", "--lt-cred-mech"]),
        (["-c", "--lt-cred", "-v"], ["-c", "--lt-cred", "-v"]),
        (["-v", "--lt-cred=no"], ["-v", "--lt-cred-mech=no"]),
        # A key, and the beginning of others.
        (["--cli"], ["--cli"]),
        (["--tls-listening-port=1"], ["--tls-listening-port=1"]),
        # Other keys that begin so are Ferryman's own, or gone from coturn.
        (["--tcp-proxy=1"], ["--tcp-proxy-port=1"]),
        (["--no-tlsv"], ["--no-tlsv1_2"]),
        (["--peer-pol=public"], ["--peer-policy=public"]),
        (["--no-loop"], ["--no-loopback-peers"]),
        (["--greet"], ["--greeting"]),
        (["--nonsense", "--", "--lt-cred"], ["--nonsense", "--", "--lt-cred"]),
        (["--user"], ["--user"]),
    ],
)  # fmt: skip
def test_a_beginning_stands_for_its_key(given: list[str], meant: list[str]) -> None:
    assert whole_flags(given) == meant


def test_a_beginning_of_several_names_them_all() -> None:
    with pytest.raises(click.UsageError) as failure:
        whole_flags(["--no-tc=hush"])
    assert failure.value.message == "--no-tc may be any of --no-tcp, --no-tcp-relay"


@pytest.mark.parametrize("name", COTURN["options"])
def test_what_is_enough_for_coturn_is_enough_here(name: str) -> None:
    for end in range(1, len(name) + 1):
        beginning = name[:end]
        meant = [other for other in COTURN["options"] if other.startswith(beginning)]
        if meant == [name] and beginning not in BY_NAME:
            assert whole_flags([f"--{beginning}=1"]) == [f"--{name}=1"]


def test_own_keys_are_those_that_coturn_never_had() -> None:
    known = {*COTURN["options"], *COTURN["removed"], *COTURN["never"], "help"}
    assert BY_NAME.keys() - known == OWN


def test_turnserver_takes_beginnings_and_ferryman_does_not() -> None:
    started: list[Configuration] = []

    def serve(configuration: Configuration, flags: ServeFlags) -> int:
        started.append(configuration)
        return 0

    run = CliRunner().invoke(
        turnserver_command(serve),
        ["-n", "--listening-po=3479", "--user-q=7", "--user=a:b", "--lt-c"],
    )
    assert run.exit_code == 0, run.output
    assert (started[0].listening_port, started[0].user_quota) == (3479, 7)
    for command, arguments, said in (
        (turnserver_command(serve), ["-n", "--no-tc"], "--no-tcp, --no-tcp-relay"),
        (command_line(serve), ["serve", "--listening-po=3479"], "No such option"),
    ):
        run = CliRunner().invoke(command, arguments)
        assert run.exit_code == 2
        assert said in run.output
