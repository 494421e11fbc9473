"""A server, its client and peers where no packet is longer than 1,500 bytes (RFC 8656 §14, §15).

Run as a program in a network namespace of its own, whose loopback device gets that MTU.

Argument: a folder for the server's files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ferryman.wire.address import Address
from tests.running.conftest import ACCOUNTS
from tests.running.test_icmp import BOTH, send_whole, told
from tests.servers import start_server
from tests.turn_client import Peer, TurnClient

MTU = 1500
FITS, TOO_LONG = 1400, 1600
FRAGMENTATION_NEEDED, PACKET_TOO_BIG = (3, 4, MTU), (2, 0, MTU)


def main(folder: Path) -> None:
    """Raises AssertionError when anything is not as it should be."""
    subprocess.run(["ip", "link", "set", "lo", "up", "mtu", str(MTU)], check=True)
    with start_server([*ACCOUNTS, "allow-loopback-peers"], folder) as server:
        for stream in (False, True):
            with TurnClient(server.port, "alice", "sesame", stream=stream) as client:
                assert client.allocate(BOTH).code == 0
                check(client, "127.0.0.1", FRAGMENTATION_NEEDED)
                # Between datagrams DONT-FRAGMENT is ignored where one side is IPv6 (RFC 8656 §13).
                check(client, "::1", PACKET_TOO_BIG if stream else None)


def check(client: TurnClient, host: str, too_long: tuple[int, int, int] | None) -> None:
    with Peer(host) as peer:
        assert client.permit(peer.address).code == 0
        send_whole(client, peer.address, bytes(FITS))
        assert peer.receive()[0] == bytes(FITS)
        client.send_to(peer.address, bytes(TOO_LONG))
        assert peer.receive()[0] == bytes(TOO_LONG)
        send_whole(client, peer.address, bytes(TOO_LONG))
        if too_long is None:
            assert peer.receive()[0] == bytes(TOO_LONG)
        else:
            # For IPv4 the kernel does not say which port the packet was for.
            address = peer.address if ":" in host else Address.of(host, 0)
            assert told(client) == (address, too_long)
            assert peer.is_silent(0.1)
        assert client.is_silent(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
