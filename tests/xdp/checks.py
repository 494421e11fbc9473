"""What is checked of a server whose kernel forwards channels, with a client and a peer behind real
links."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ferryman.wire.address import Address
from ferryman.wire.channel_data import encode_channel_data
from ferryman.wire.registry import Attribute
from ferryman.wire.values import encode_family
from tests.running.conftest import logged
from tests.servers import RunningServer
from tests.turn_client import Peer, TurnClient
from tests.xdp.network import PEER, SERVER, Namespace, ip, mac_of

CHANNEL = 0x4001
_SOL_PACKET, _PACKET_VNET_HDR = 263, 15
_ETH_P_ALL = socket.htons(3)
FAMILIES = ((4, 4), (4, 6), (6, 4), (6, 6))
EVERY_LENGTH = (0, 1, 2, 159, 160, 1199, 1200)
Ends = tuple[Namespace, Namespace]


class Call:
    """A client with a channel to a peer, and that peer."""

    def __init__(
        self,
        server: RunningServer,
        ends: tuple[Namespace, Namespace],
        families: tuple[int, int],
        account: tuple[str, str] = ("alice", "sesame"),
    ) -> None:
        of_client, of_peer = families
        self.client = ends[0].run(lambda: TurnClient(server.port, *account, host=SERVER[of_client]))
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
    os.waitpid(server.process.pid, os.WUNTRACED)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


def check_forwarding(server: RunningServer, ends: Ends) -> None:
    for families in FAMILIES:
        call = Call(server, ends, families)
        with stopped(server):
            for length in EVERY_LENGTH:
                call.exchange(os.urandom(length))
        call.close()


def check_usage(server: RunningServer, ends: Ends) -> None:
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


def check_ending(server: RunningServer, ends: Ends) -> None:
    """No packet goes on once the allocation has ended."""
    call = Call(server, ends, (4, 6))
    assert call.client.refresh(0).code == 0
    with stopped(server):
        call.client.send_on(CHANNEL, b"late")
        call.peer.send(call.relayed, b"late")
        assert call.peer.is_silent()
        assert call.client.is_silent(0.1)
    call.close()


def check_left_to_the_server(server: RunningServer, ends: Ends) -> None:
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


def check_vlan(server: RunningServer, ends: Ends) -> None:
    """What comes over another network, a VLAN, is not forwarded, be it the same to the octet."""
    call = Call(server, ends, (4, 4))
    macs = mac_of("near") + ends[0].run(mac_of, "near-end")
    packet = _packet(call.client.local, Address.of(SERVER[4], server.port), b"by hand")
    raw = ends[0].run(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("near-end", 0))
    # A tag would stay with the packet, and nobody but such a socket would see it.
    seen = ends[1].run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, _ETH_P_ALL))
    seen.bind(("far-end", 0))
    seen.settimeout(0.2)
    with raw, seen, stopped(server):
        for tag, arrives in (("", True), ("81000005", False), ("", True)):
            raw.send(macs + bytes.fromhex(tag) + packet)
            assert _carries(seen, b"by hand") == arrives
    call.close()


def _carries(seen: socket.socket, payload: bytes) -> bool:
    """Whether a packet that ends so arrives in a while."""
    try:
        while payload not in seen.recv(2048):
            pass
    except TimeoutError:
        return False
    return True


def _packet(client: Address, server: Address, payload: bytes) -> bytes:
    """On the channel, over IPv4, without a UDP checksum (RFC 768); the EtherType is in front."""
    body = encode_channel_data(CHANNEL, payload, padded=False)
    udp = struct.pack("!HHHH", client.port, server.port, 8 + len(body), 0) + body
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(udp), 1, 0, 64, 17)
    total = sum(struct.unpack("!9H", start + client.ip + server.ip))
    checksum = struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
    return b"\x08\x00" + start + checksum + client.ip + server.ip + udp


def check_pieces(server: RunningServer, ends: Ends) -> None:
    """Behind a driver the headers of a packet may lie in pieces."""
    _set_mtu(ends, 9000)
    call = Call(server, ends, (4, 4))
    payload = os.urandom(5000)
    packet = _packet(call.client.local, Address.of(SERVER[4], server.port), payload)
    frame = mac_of("near") + ends[0].run(mac_of, "near-end") + packet
    raw = ends[0].run(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("near-end", 0))
    raw.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    with raw, stopped(server):
        for first_piece in (14, 20, 34, 42, 46):
            raw.send(struct.pack("BBHHHH", 0, 0, first_piece, 0, 0, 0) + frame)
            assert call.peer.receive() == (payload, call.relayed)
    call.close()
    _set_mtu(ends, 1500)


def _set_mtu(ends: Ends, octets: int) -> None:
    for end, interface in zip(ends, ("near", "far"), strict=True):
        ip(f"link set {interface} mtu {octets}")
        end.run(ip, f"link set {interface}-end mtu {octets}")


def check_expiry(server: RunningServer, ends: Ends, seconds: int, *, client_too: bool) -> None:
    """A channel, or the permission for its peer, that lives so long ends then, whatever the server
    does meanwhile."""
    call = Call(server, ends, (6, 4))
    until = time.monotonic() + seconds
    with stopped(server):
        call.exchange(b"in time")
        time.sleep(until - time.monotonic())
        call.peer.send(call.relayed, b"late")
        assert call.client.is_silent(0.2)
        call.client.send_on(CHANNEL, b"late")
        assert call.peer.is_silent(0.2) == client_too
    call.close()


def check_not_offloaded(server: RunningServer, ends: Ends) -> None:
    """The kernel forwards nothing of an allocation with a limit; the server does."""
    call = Call(server, ends, (4, 4))
    with stopped(server):
        call.client.send_on(CHANNEL, b"waits")
        assert call.peer.is_silent(0.2)
    assert call.peer.receive() == (b"waits", call.relayed)
    call.exchange(b"by hand")
    call.close()


def bad_checksums(ends: Ends, during: Callable[[], None]) -> int:
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
    _until_still([Path(file) for _, _, file in captures])
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


def _until_still(files: list[Path]) -> None:
    """Until nothing more is written: tcpdump may be late."""
    sizes: list[int] = []
    while sizes != (now := [file.stat().st_size for file in files]):
        sizes = now
        time.sleep(0.2)
