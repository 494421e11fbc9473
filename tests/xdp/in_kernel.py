"""Servers whose kernel forwards channels, in each of the ways that it can.

Run as a program, alone in a network namespace, with the rights to load a program and to make
namespaces. Argument: a folder for the server's files. Exits with FORBIDDEN when the kernel lets
nobody load a program here.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from tests.running.conftest import ACCOUNTS, logged
from tests.servers import RunningServer, start_server
from tests.xdp.checks import (
    CHANNEL,
    Call,
    Ends,
    bad_checksums,
    check_ending,
    check_expiry,
    check_forwarding,
    check_left_to_the_server,
    check_not_offloaded,
    check_pieces,
    check_usage,
    check_vlan,
    stopped,
)
from tests.xdp.network import RELAY, SERVER, build, has_program, receive_from_drivers

FORBIDDEN = 77
ADDRESSES = [f"listening-ip={ip}" for ip in ("127.0.0.1", *SERVER.values())]
ADDRESSES += [f"relay-ip={ip}" for ip in RELAY.values()]
SERVES = [*ACCOUNTS, *ADDRESSES, "verbose", "mobility"]
OFFLOADED = [*SERVES, "xdp=near", "xdp=far"]
NO_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
FEW_RIGHTS = [*NO_RIGHTS[:-1], "--bounding-set=-all,+bpf,+net_admin"]
SHORT = 2


def start(folder: Path, rights: list[str], configuration: list[str] = OFFLOADED) -> RunningServer:
    """A server with these rights and no others, as root is."""
    command = [*rights, str(Path(sys.executable).with_name("ferryman")), "serve"]
    return start_server(configuration, folder, addresses=[], command=command)


def says(server: RunningServer, words: str) -> bool:
    said = logged(server, "channels are forwarded in the kernel")
    assert len(said) == 1, server.log
    return f"interfaces=near,far {words}" in said[0]


def check_without_rights(folder: Path, ends: Ends) -> None:
    """One clear line, and all is as without the option."""
    with start(folder, NO_RIGHTS) as server:
        lines = [line for line in server.log.splitlines() if "xdp" in line]
        assert len(lines) == 1, lines
        assert "channels are not forwarded in the kernel" in lines[0]
        assert not has_program("near")
        call = Call(server, ends, (4, 6))
        call.exchange(b"by hand")
        call.close()


def check_all(server: RunningServer, ends: Ends) -> None:
    assert bad_checksums(ends, lambda: check_forwarding(server, ends)) == 0
    check_usage(server, ends)
    check_ending(server, ends)
    check_left_to_the_server(server, ends)
    check_vlan(server, ends)


def check_modes(folder: Path, ends: Ends) -> None:
    """Where the ends would lose what the drivers send, the stack sends it."""
    receive_from_drivers(ends, on=False)
    with start(folder, FEW_RIGHTS) as server:
        assert says(server, "mode=tc because="), server.log
        check_all(server, ends)
        check_pieces(server, ends)
    with start(folder, FEW_RIGHTS, [*OFFLOADED, "xdp-mode=generic"]) as server:
        assert says(server, "mode=generic"), server.log
        assert has_program("near")
        check_all(server, ends)
    assert not has_program("near")
    with start(folder, FEW_RIGHTS, [*OFFLOADED, "xdp-mode=driver"]) as server:
        assert "channels are not forwarded in the kernel" in server.log, server.log
    receive_from_drivers(ends, on=True)


def check_automatic(folder: Path) -> None:
    """The interfaces of the addresses, and not loopback."""
    with start(folder, FEW_RIGHTS, [*SERVES, "xdp=auto"]) as server:
        line = logged(server, "channels are forwarded in the kernel interfaces=")[0]
        assert {"near", "far"} == set(re.findall(r"near|far|lo", line.partition("interfaces=")[2]))
        assert has_program("near")
        assert has_program("far")


def check_limits(folder: Path, ends: Ends) -> None:
    with start(folder, FEW_RIGHTS, [*OFFLOADED, "max-bps=100000"]) as server:
        check_not_offloaded(server, ends)
    for life in ("channel-lifetime", "permission-lifetime"):
        with start(folder, FEW_RIGHTS, [*OFFLOADED, f"{life}={SHORT}"]) as server:
            check_expiry(server, ends, SHORT, client_too=life == "channel-lifetime")


def check_workers(folder: Path, ends: Ends) -> None:
    """Each hands out the channels of its own clients."""
    with start(folder, FEW_RIGHTS, [*OFFLOADED, "relay-threads=2"]) as server:
        check_forwarding(server, ends)
        calls = [Call(server, ends, (4, 4)) for _ in range(8)]
        with stopped(server):
            for call in calls:
                call.exchange(b"of somebody's worker")
        for call in calls:
            call.close()
        check_usage(server, ends)


def check_death(folder: Path, ends: Ends, mode: str) -> None:
    """No flow outlives the server, however it dies."""
    server = start(folder, FEW_RIGHTS, [*OFFLOADED, f"xdp-mode={mode}"])
    assert says(server, f"mode={mode}"), server.log
    call = Call(server, ends, (4, 4))
    with stopped(server):
        call.exchange(b"alive")
    server.process.kill()
    server.process.wait()
    until = time.monotonic() + 5
    while has_program("near") or has_program("far"):
        assert time.monotonic() < until
        time.sleep(0.01)
    call.client.send_on(CHANNEL, b"late")
    call.peer.send(call.relayed, b"late")
    assert call.peer.is_silent()
    call.peer.socket.close()
    call.client.socket.close()


def main(folder: Path) -> int:
    """Raises AssertionError when anything is not as it should be."""
    ends = build()
    os.chdir(folder)
    check_without_rights(folder, ends)
    with start(folder, FEW_RIGHTS) as server:
        if "Operation not permitted" in server.log:
            return FORBIDDEN
        assert says(server, "mode=driver"), server.log
        assert has_program("near")
        check_all(server, ends)
    assert not has_program("near")
    check_automatic(folder)
    check_modes(folder, ends)
    check_limits(folder, ends)
    check_workers(folder, ends)
    for mode in ("driver", "tc", "generic"):
        check_death(folder, ends, mode)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
