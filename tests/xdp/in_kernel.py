"""A server whose kernel forwards channels, with a client and a peer behind real links.

Run as a program, alone in a network namespace, with the rights to load a program and to make
namespaces. Argument: a folder for the server's files. Exits with FORBIDDEN when the kernel lets
nobody load a program here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ferryman.wire.registry import Attribute
from ferryman.wire.values import encode_family
from tests.running.conftest import ACCOUNTS, logged
from tests.servers import RunningServer, start_server
from tests.turn_client import Peer, TurnClient
from tests.xdp.network import (
    PEER,
    RELAY,
    SERVER,
    Namespace,
    build,
    has_program,
    receive_from_drivers,
)

FORBIDDEN = 77
CHANNEL = 0x4001
FAMILIES = ((4, 4), (4, 6), (6, 4), (6, 6))
ADDRESSES = [f"listening-ip={ip}" for ip in ("127.0.0.1", *SERVER.values())]
ADDRESSES += [f"relay-ip={ip}" for ip in RELAY.values()]
OFFLOADED = [*ACCOUNTS, *ADDRESSES, "verbose", "mobility", "xdp=near", "xdp=far"]
NO_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
FEW_RIGHTS = [*NO_RIGHTS[:-1], "--bounding-set=-all,+bpf,+net_admin"]
EVERY_LENGTH = (0, 1, 2, 159, 160, 1199, 1200)


def start(folder: Path, rights: list[str], configuration: list[str] = OFFLOADED) -> RunningServer:
    """A server with these rights and no others, as root is."""
    command = [*rights, str(Path(sys.executable).with_name("ferryman")), "serve"]
    return start_server(configuration, folder, addresses=[], command=command)


class Call:
    """A client with a channel to a peer, and that peer."""

    def __init__(
        self, server: RunningServer, ends: tuple[Namespace, Namespace], families: tuple[int, int]
    ) -> None:
        of_client, of_peer = families
        self.client = ends[0].run(
            lambda: TurnClient(server.port, "alice", "sesame", host=SERVER[of_client])
        )
        self.peer = ends[1].run(lambda: Peer(PEER[of_peer]))
        family = (Attribute.REQUESTED_ADDRESS_FAMILY, encode_family(1 if of_peer == 4 else 2))
        self.relayed = self.client.relayed(family)
        assert self.client.bind(CHANNEL, self.peer.address).code == 0
        # The neighbours are known from here on.
        self.exchange(b"first")

    def exchange(self, payload: bytes) -> None:
        """There and back."""
        self.client.send_on(CHANNEL, payload)
        assert self.peer.receive() == (payload, self.relayed)
        self.peer.send(self.relayed, payload[::-1])
        assert self.client.receive_channel() == (CHANNEL, payload[::-1])

    def close(self) -> None:
        self.client.abandon()
        self.peer.socket.close()


@contextmanager
def stopped(server: RunningServer) -> Iterator[None]:
    """While this lasts the server does nothing: what is forwarded, the kernel forwards."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def check_forwarding(server: RunningServer, ends: tuple[Namespace, Namespace]) -> None:
    for families in FAMILIES:
        call = Call(server, ends, families)
        with stopped(server):
            for length in EVERY_LENGTH:
                call.exchange(os.urandom(length))
        call.close()


def check_usage(server: RunningServer, ends: tuple[Namespace, Namespace]) -> None:
    """The `closed` line counts what the kernel forwarded as well."""
    call = Call(server, ends, (4, 4))
    with stopped(server):
        for _ in range(10):
            call.exchange(bytes(100))
    assert call.client.refresh(0).code == 0
    said = f"allocation closed client={call.client.local.host}:{call.client.local.port} "
    counts = dict(re.findall(r"(\w+)=(\d+)", logged(server, said)[0]))
    assert (counts["sent_packets"], counts["sent_bytes"]) == ("11", "1005")
    assert (counts["received_packets"], counts["received_bytes"]) == ("11", "1005")
    call.close()


def check_ending(server: RunningServer, ends: tuple[Namespace, Namespace]) -> None:
    """No packet goes on once the allocation has ended."""
    call = Call(server, ends, (4, 6))
    assert call.client.refresh(0).code == 0
    with stopped(server):
        call.client.send_on(CHANNEL, b"late")
        call.peer.send(call.relayed, b"late")
        assert call.peer.is_silent()
        assert call.client.is_silent(0.1)
    call.close()


def check_left_to_the_server(server: RunningServer, ends: tuple[Namespace, Namespace]) -> None:
    """What the kernel's program leaves alone arrives all the same: fragments, Send indications,
    an unknown peer's packet under a permission."""
    for families in FAMILIES:
        call = Call(server, ends, families)
        call.exchange(os.urandom(4000))
        call.client.send_to(call.peer.address, b"indication")
        assert call.peer.receive() == (b"indication", call.relayed)
        other = ends[1].run(lambda family=families[1]: Peer(PEER[family]))
        with other:
            other.send(call.relayed, b"from another port")
            assert call.client.receive_data() == (other.address, b"from another port")
        call.close()


def check_without_rights(folder: Path, ends: tuple[Namespace, Namespace]) -> None:
    """One clear line, and all is as without the option."""
    with start(folder, NO_RIGHTS) as server:
        lines = [line for line in server.log.splitlines() if "xdp" in line]
        assert len(lines) == 1, lines
        assert "channels are not forwarded in the kernel" in lines[0]
        assert not has_program("near")
        call = Call(server, ends, (4, 6))
        call.exchange(b"by hand")
        call.close()


def check_automatic(folder: Path) -> None:
    """The interfaces of the addresses, and not loopback."""
    automatic = [line for line in OFFLOADED if not line.startswith("xdp=")]
    with start(folder, FEW_RIGHTS, [*automatic, "xdp=auto"]) as server:
        line = logged(server, "channels are forwarded in the kernel interfaces=")[0]
        assert {"near", "far"} == set(re.findall(r"near|far|lo", line.partition("interfaces=")[2]))
        assert has_program("near")
        assert has_program("far")


def check_generic(folder: Path, ends: tuple[Namespace, Namespace]) -> None:
    """Where the ends would lose what the drivers send, the stack sends it."""
    receive_from_drivers(ends, on=False)
    with start(folder, FEW_RIGHTS) as server:
        assert logged(server, "interfaces=near,far mode=generic"), server.log
        assert bad_checksums(ends, lambda: check_forwarding(server, ends)) == 0
        check_usage(server, ends)
    receive_from_drivers(ends, on=True)


def check_death(server: RunningServer, ends: tuple[Namespace, Namespace]) -> None:
    """No flow outlives the server, however it dies."""
    call = Call(server, ends, (4, 4))
    assert has_program("near")
    assert has_program("far")
    server.process.kill()
    server.process.wait()
    until = time.monotonic() + 5
    while has_program("near") or has_program("far"):
        assert time.monotonic() < until
        time.sleep(0.01)
    call.client.send_on(CHANNEL, b"late")
    assert call.peer.is_silent()
    call.peer.socket.close()
    call.client.socket.close()


def bad_checksums(ends: tuple[Namespace, Namespace], during: Callable[[], None]) -> int:
    """How many packets with a wrong checksum arrive at the ends."""
    captures = [(ends[0], "near-end", "client.pcap"), (ends[1], "far-end", "peer.pcap")]
    running = [
        end.run(
            lambda name=name, file=file: subprocess.Popen(
                ["tcpdump", "--immediate-mode", "-U", "-i", name, "-w", file, "udp"],
                stderr=subprocess.PIPE,
            )
        )
        for end, name, file in captures
    ]
    for process in running:
        assert process.stderr is not None
        process.stderr.readline()
    during()
    bad = packets = 0
    for process, (_, _, file) in zip(running, captures, strict=True):
        process.terminate()
        process.communicate()
        shown = subprocess.run(
            ["tcpdump", "-n", "-vv", "-r", file], check=True, capture_output=True, text=True
        ).stdout
        assert "[udp sum ok]" in shown
        bad += len(re.findall(r"bad \w* ?cksum", shown))
        packets += shown.count("[udp sum ok]")
    assert packets > 120, packets
    return bad


def main(folder: Path) -> int:
    """Raises AssertionError when anything is not as it should be."""
    ends = build()
    os.chdir(folder)
    check_without_rights(folder, ends)
    with start(folder, FEW_RIGHTS) as server:
        if "Operation not permitted" in server.log:
            return FORBIDDEN
        assert logged(server, "forwarded in the kernel interfaces=near,far mode=driver"), server.log
        assert bad_checksums(ends, lambda: check_forwarding(server, ends)) == 0
        check_usage(server, ends)
        check_ending(server, ends)
        check_left_to_the_server(server, ends)
    assert not has_program("near")
    check_automatic(folder)
    check_generic(folder, ends)
    server = start(folder, FEW_RIGHTS)
    check_death(server, ends)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
