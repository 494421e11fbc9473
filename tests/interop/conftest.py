"""The server that the interop tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.certificates import make_pair
from tests.interop.accounts import ANYONE, STATIC, TIME_LIMITED
from tests.servers import RunningServer, free_port, runs_coturn, start_server

PortFor = Callable[[str], int]


@pytest.fixture(scope="session")
def port_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortFor]:
    """The port of a server that takes the given account.

    Ferryman takes static and time-limited accounts at once; coturn's needs a server for each.
    """
    pair = make_pair(tmp_path_factory.mktemp("pair"))
    anyone = [*ANYONE, *pair.lines, f"tls-listening-port={free_port()}"]
    if not runs_coturn():
        with _start([*anyone, *TIME_LIMITED, *STATIC], tmp_path_factory, "both") as server:
            yield lambda account: server.port
        return
    with (
        _start([*anyone, *TIME_LIMITED], tmp_path_factory, "time-limited") as time_limited,
        _start([*anyone, *STATIC], tmp_path_factory, "static") as static,
    ):
        yield lambda account: (static if account == "static" else time_limited).port


def _start(lines: list[str], folders: pytest.TempPathFactory, name: str) -> RunningServer:
    return start_server(lines, folders.mktemp(name))
