"""coturn's `turnutils_natdiscovery` and `turnutils_stunclient -f` run every test of RFC 5780 that
they know against a server on two addresses.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from tests.interop.accounts import ANYONE, STATIC
from tests.servers import RunningServer, program, start_server

pytestmark = pytest.mark.interop

FIRST, OTHER = "127.0.0.1", "127.0.0.2"
ORIGIN: Final = re.compile(r"Response origin: : (\S+):(\d+)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    lines = [*ANYONE, *STATIC, "rfc5780"]
    folder = tmp_path_factory.mktemp("natdiscovery")
    with start_server(lines, folder, addresses=(FIRST, OTHER)) as running:
        yield running


def run(name: str, server: RunningServer, *flags: str) -> str:
    """What the program printed, with the origins as `ip first|other`."""
    command = [program(name), *flags, "-p", str(server.port), FIRST]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert "ALG detected" not in printed.stdout, printed
    assert "timeout" not in printed.stdout, printed
    assert "Not received" not in printed.stdout, printed
    return printed.stdout


def origins(text: str, server: RunningServer) -> set[tuple[str, int]]:
    return {(host, int(port) - server.port) for host, port in ORIGIN.findall(text)}


def test_mapping_is_discovered_through_the_other_address(server: RunningServer) -> None:
    printed = run("turnutils_natdiscovery", server, "-m", "-L", FIRST)
    assert "NAT with Endpoint Independent Mapping!" in printed
    assert origins(printed, server) == {(FIRST, 0), (OTHER, 0)}


def test_filtering_is_discovered_from_the_other_address(server: RunningServer) -> None:
    printed = run("turnutils_natdiscovery", server, "-f", "-L", FIRST)
    assert "NAT with Endpoint Independent Filtering!" in printed
    assert origins(printed, server) == {(FIRST, 0), (OTHER, 1)}


def test_padded_packets_come_and_go(server: RunningServer) -> None:
    printed = run("turnutils_natdiscovery", server, "-m", "-P", "-L", FIRST)
    assert "NAT with Endpoint Independent Mapping!" in printed


def test_the_lifetime_of_a_mapping_is_asked_through_the_response_port(
    server: RunningServer,
) -> None:
    printed = run("turnutils_natdiscovery", server, "-t", "-T", "1", "-L", FIRST)
    assert printed.count("RFC 5780 response") == 2


def test_hairpinning_and_collisions_are_looked_for(server: RunningServer) -> None:
    printed = run("turnutils_natdiscovery", server, "-H", "-L", FIRST)
    assert "maybe a successful hairpinning" in printed
    printed = run("turnutils_natdiscovery", server, "-c", "-A", "127.0.0.3", "-L", FIRST)
    assert printed.count("RFC 5780 response") == 2


def test_stunclient_gets_all_three_answers(server: RunningServer) -> None:
    printed = run("turnutils_stunclient", server, "-f")
    assert printed.count("RFC 5780 response") == 3
    assert origins(printed, server) == {(FIRST, 0), (OTHER, 1)}
