"""What the IP headers of relayed packets say (RFC 8656 §14 to §16), seen on the wire.

Run as a program by somebody who may see IP headers. Argument: a folder for the server's files.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ferryman.wire.address import Address
from tests.running.conftest import ACCOUNTS
from tests.running.test_icmp import send_whole
from tests.servers import start_server
from tests.turn_client import Peer, TurnClient

DF = 0x40
# Expedited forwarding, ECT(1), and nine hops to live: none of it is passed on.
CLASS, HOPS = 46 << 2 | 1, 9
DEFAULT_HOPS = int(Path("/proc/sys/net/ipv4/ip_default_ttl").read_text(encoding="ascii"))


class Header(NamedTuple):
    """DSCP with ECN, time to live, and whether the packet must stay whole."""

    traffic_class: int
    hops: int
    whole: bool


def main(folder: Path) -> None:
    """Raises AssertionError when anything is not as it should be."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    wire.bind(("127.0.0.1", 0))
    wire.settimeout(3)
    with wire, start_server([*ACCOUNTS, "allow-loopback-peers"], folder) as server:
        for stream in (False, True):
            with (
                TurnClient(server.port, "alice", "sesame", stream=stream) as client,
                Peer() as peer,
            ):
                for one in (client.socket, peer.socket):
                    one.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, CLASS)
                    one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
                relayed = client.relayed()
                assert client.permit(peer.address).code == 0
                check_to_peer(client, peer, relayed, wire)
                if not stream:
                    peer.send(relayed, b"to the client")
                    seen = header(wire, server.port, b"to the client")
                    assert seen[:2] == (0, DEFAULT_HOPS)


def check_to_peer(client: TurnClient, peer: Peer, relayed: Address, wire: socket.socket) -> None:
    """DF for whoever asks for it and for nobody else; the rest is the system's."""
    for payload, whole in ((b"one", False), (b"two", True), (b"three", False), (b"four", True)):
        send = send_whole if whole else TurnClient.send_to
        send(client, peer.address, payload)
        assert header(wire, relayed.port, payload) == (0, DEFAULT_HOPS, whole)


def header(wire: socket.socket, source: int, payload: bytes) -> Header:
    """Of the next packet from this port that holds the payload."""
    while True:
        packet = wire.recv(65_536)
        if packet[20:22] == source.to_bytes(2, "big") and payload in packet[28:]:
            return Header(packet[1], packet[8], bool(packet[6] & DF))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
