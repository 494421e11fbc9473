"""A client and its peer in a process of their own: one packet at a time, there and back, until a
line comes in; then tells how many and how long the longest pause was.

Arguments: the server's port, the descriptor of the peer's socket.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

ALLOCATE = b"\x00\x03\x00\x00\x21\x12\xa4\x42transaction0"
TO_PEER = b"\x40\x00\x00\x04ping"
TO_CLIENT = b"\x40\x00\x00\x04pong"


def main(port: int, peer_descriptor: int) -> None:
    """Calls until it is told to stop."""
    peer = socket.socket(fileno=peer_descriptor)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for one in (peer, client):
        one.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.send(ALLOCATE)
    assert client.recv(100) == b"success"
    print("calling", flush=True)
    packets, longest, last = 0, 0.0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        client.send(TO_PEER)
        payload, relayed = peer.recvfrom(100)
        peer.sendto(payload.replace(b"i", b"o"), relayed)
        assert client.recv(100) == TO_CLIENT
        now = time.monotonic()
        packets, longest, last = packets + 1, max(longest, now - last), now
    print(json.dumps({"packets": packets, "longest_pause": longest}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
