"""The container's entry point, run with a STUN server on loopback in place of the public ones.

What is started at its end is a program that prints its arguments; detect-external-ip is the real
one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from ferryman.config import ConfigurationError, load
from tests.packaging.files import PACKAGING
from tests.servers import RunningServer, free_port, start_server

ENTRYPOINT = PACKAGING / "docker/entrypoint"
DETECT = PACKAGING / "docker/detect_external_ip.py"
LINES = ("user=alice:wonderland", "realm=example.org")
CALL = "$(detect-external-ip)"


@pytest.fixture(scope="module")
def stun_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with start_server(LINES, tmp_path_factory.mktemp("stun")) as server:
        yield server


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with what the image has in its PATH."""
    for name in ("turnserver", "ferryman"):
        written(tmp_path / name, f'printf "%s\\n" {name} "$@"')
    counted = f"echo asked >>{shlex.quote(str(tmp_path / 'asked'))}"
    real = shlex.join([sys.executable, "-I", str(DETECT)])
    written(tmp_path / "detect-external-ip", f'{counted}\nexec {real} "$@"')
    return tmp_path


def written(path: Path, commands: str) -> None:
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)


def run(
    programs: Path, *arguments: str, stun: int | str, **settings: str
) -> subprocess.CompletedProcess[str]:
    host = "[::1]" if any("IPV6" in name for name in settings) else "127.0.0.1"
    servers = stun if isinstance(stun, str) else f"{host}:{stun}"
    environment: Mapping[str, str] = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "DETECT_EXTERNAL_IP_STUN": servers,
        **settings,
    }
    return subprocess.run(
        [str(ENTRYPOINT), *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def started(programs: Path, *arguments: str, stun: int | str = "", **settings: str) -> list[str]:
    found = run(programs, *arguments, stun=stun, **settings)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        (["-n", "--realm=a b", "-L", "127.0.0.1"], "turnserver -n '--realm=a b' -L 127.0.0.1"),
        (["turnserver", "-c", "/x"], "turnserver -c /x"),
        (["ferryman", "check-config", "/x"], "ferryman check-config /x"),
        ([], "turnserver"),
        (["-n", "--realm="], "turnserver -n --realm="),
    ],
)
def test_arguments_go_through(arguments: list[str], program: str, programs: Path) -> None:
    assert started(programs, *arguments) == shlex.split(program)


@pytest.mark.parametrize("form", [CALL, "$(detect-external-ip --ipv4)"])
def test_a_call_in_an_argument_becomes_the_address(
    form: str, programs: Path, stun_server: RunningServer
) -> None:
    arguments = ["-n", f"--external-ip={form}/10.0.0.1", f"--relay-ip={form}", f"{form},{form}"]
    found = started(programs, *arguments, stun=stun_server.port)
    assert found[2:] == [
        "--external-ip=127.0.0.1/10.0.0.1",
        "--relay-ip=127.0.0.1",
        "127.0.0.1,127.0.0.1",
    ]
    assert (programs / "asked").read_text() == "asked\n"


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("DETECT_EXTERNAL_IP", "--external-ip=127.0.0.1"),
        ("DETECT_RELAY_IP", "--relay-ip=127.0.0.1"),
        ("DETECT_EXTERNAL_IPV6", "--external-ip=::1"),
        ("DETECT_RELAY_IPV6", "--relay-ip=::1"),
    ],
)
def test_the_environment_asks_for_a_flag(
    name: str, flag: str, programs: Path, stun_server: RunningServer
) -> None:
    found = started(programs, "-n", stun=stun_server.port, **{name: "yes"})
    assert found == ["turnserver", "-n", flag]
    assert started(programs, "-n", stun=stun_server.port, **{name: "no"}) == ["turnserver", "-n"]


def test_the_environment_concerns_turnserver_alone(
    programs: Path, stun_server: RunningServer
) -> None:
    arguments = ["ferryman", "check-config", "/x"]
    assert started(programs, *arguments, stun=stun_server.port, DETECT_EXTERNAL_IP="1") == arguments


def test_an_address_that_is_given_is_not_asked_for(programs: Path) -> None:
    settings = {"DETECT_EXTERNAL_IP": "yes", "REAL_EXTERNAL_IP": "203.0.113.9"}
    found = started(programs, f"--relay-ip={CALL}", **settings)
    assert found == ["turnserver", "--relay-ip=203.0.113.9", "--external-ip=203.0.113.9"]


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::9"])
def test_behind_a_nat_the_relay_address_stays_the_machines_own(
    address: str, programs: Path
) -> None:
    """As a compose file for coturn asks, in a cloud: nobody could bind the NAT's address."""
    family = "V6" if ":" in address else ""
    settings = {f"DETECT_{what}_IP{family}": "yes" for what in ("EXTERNAL", "RELAY")}
    found = run(programs, "-n", stun="", REAL_EXTERNAL_IP=address, **settings)
    assert found.stdout.splitlines() == ["turnserver", "-n", f"--external-ip={address}"]
    assert f"{address} is no address of this machine" in found.stderr


def test_a_guides_compose_file_runs_what_the_image_runs_by_itself(
    programs: Path, stun_server: RunningServer
) -> None:
    """It asks for detection and gives no command, so that the image's own asks as well."""
    dockerfile = (PACKAGING / "docker/Dockerfile").read_text()
    command = json.loads(dockerfile.rpartition("\nCMD ")[2])
    settings = {"DETECT_EXTERNAL_IP": "yes", "DETECT_RELAY_IP": "yes"}
    program, *flags = started(programs, *command, stun=stun_server.port, **settings)
    assert program == "turnserver"
    assert flags.count("--external-ip=127.0.0.1") == 2
    given = [tuple(flag.removeprefix("--").split("=", 1)) for flag in flags]
    configuration = load(None, [(key, value) for key, value in given])
    (external,) = configuration.external_ips
    assert external.public == bytes((127, 0, 0, 1))


def test_the_second_server_is_asked_when_the_first_is_silent(
    programs: Path, stun_server: RunningServer
) -> None:
    servers = f"127.0.0.1:{free_port()} 127.0.0.1:{stun_server.port}"
    found = run(programs, "-n", stun=servers, DETECT_EXTERNAL_IP="yes")
    assert found.stdout.splitlines()[2:] == ["--external-ip=127.0.0.1"]


@pytest.mark.parametrize("where", ["environment", "argument"])
def test_nothing_starts_when_nobody_answers(where: str, programs: Path) -> None:
    asked = {"DETECT_EXTERNAL_IP": "yes"} if where == "environment" else {}
    argument = "-n" if where == "environment" else f"--external-ip={CALL}"
    found = run(programs, argument, stun=f"127.0.0.1:{free_port()}", **asked)
    assert (found.returncode, found.stdout) == (1, "")
    assert "REAL_EXTERNAL_IP tells the address" in found.stderr


@pytest.mark.parametrize("evil", ["$(touch {})", "`touch {}`", "${{PATH}}", "$(touch {})" + CALL])
def test_nothing_else_is_evaluated_and_no_secret_is_shown(
    evil: str, programs: Path, stun_server: RunningServer
) -> None:
    trace = programs / "trace"
    argument = f"--user=alice:{evil.format(trace)}"
    found = run(programs, "-n", argument, stun=stun_server.port)
    assert found.stdout.splitlines()[2:] == [argument.replace(CALL, "127.0.0.1")]
    assert not trace.exists()
    assert "--user: taken as it is" in found.stderr
    assert "alice" not in found.stderr


def test_a_dollar_alone_is_nothing_to_speak_of(programs: Path) -> None:
    assert started(programs, "--user=alice:pa$$word") == ["turnserver", "--user=alice:pa$$word"]


@pytest.mark.parametrize("alive", [True, False])
def test_it_is_a_health_check_as_well(alive: bool, stun_server: RunningServer) -> None:
    port = stun_server.port if alive else free_port()
    command = [sys.executable, "-I", str(DETECT), f"--stun=127.0.0.1:{port}"]
    settings = {**os.environ, "REAL_EXTERNAL_IP": "203.0.113.9"}
    found = subprocess.run(
        command, env=settings, check=False, capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stdout) == ((0, "127.0.0.1\n") if alive else (1, ""))


def test_the_example_for_kubernetes_is_a_good_file_that_drains_in_time(tmp_path: Path) -> None:
    text = (PACKAGING / "kubernetes/ferryman.yaml").read_text()
    indented = text.partition("turnserver.conf: |\n")[2].partition("---\n")[0]
    file = tmp_path / "turnserver.conf"
    file.write_text(dedent(indented))
    with pytest.raises(ConfigurationError, match=r"static-auth-secret: .*placeholder"):
        load(file, [])  # a secret that stands in a file for everybody is none
    file.write_text(re.sub("<.*>", "a-secret-of-its-own", dedent(indented)))
    configuration = load(file, [])
    assert [notice for notice in configuration.notices if notice.key != "cert"] == []
    patience = re.search(r"^drain-timeout=(\d+)$", file.read_text(), re.MULTILINE)
    grace = re.search(r"terminationGracePeriodSeconds: (\d+)\n", text)
    assert patience
    assert grace
    assert int(patience[1]) + 15 <= int(grace[1])
