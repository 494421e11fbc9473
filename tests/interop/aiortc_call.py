"""Two aiortc peers that may only use relays send each other a file: a program of its own, because
the certificates that it trusts are chosen by its environment (SSL_CERT_FILE).

`aiortc_call.py URL USERNAME PASSWORD`: prints one JSON object about what arrived, and how.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
from typing import Any

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
)

SIZE = 256 * 1024
CHUNK = 16 * 1024


def content(name: str) -> bytes:
    return random.Random(name).randbytes(SIZE)


class Side:
    """One peer: sends its content and collects the other's."""

    def __init__(self, name: str, configuration: RTCConfiguration) -> None:
        self.name = name
        self.connection = RTCPeerConnection(configuration)
        self.received = bytearray()
        self.whole = asyncio.Event()

    def use(self, channel: RTCDataChannel) -> None:
        channel.on("message", self._take)
        if channel.readyState == "open":
            self.send(channel)
        else:
            channel.on("open", lambda: self.send(channel))

    def send(self, channel: RTCDataChannel) -> None:
        octets = content(self.name)
        for at in range(0, SIZE, CHUNK):
            channel.send(octets[at : at + CHUNK])

    def _take(self, message: bytes) -> None:
        self.received += message
        if len(self.received) >= SIZE:
            self.whole.set()

    def candidate_types(self) -> list[str]:
        lines = self.connection.localDescription.sdp.splitlines()
        return sorted({line.split(" typ ")[1].split()[0] for line in lines if " typ " in line})


async def call(url: str, username: str, password: str) -> dict[str, Any]:
    server = RTCIceServer(urls=url, username=username, credential=password)
    configuration = RTCConfiguration([server], iceTransportPolicy=RTCIceTransportPolicy.RELAY)
    caller, callee = Side("caller", configuration), Side("callee", configuration)
    callee.connection.on("datachannel", callee.use)
    caller.use(caller.connection.createDataChannel("file"))
    await caller.connection.setLocalDescription(await caller.connection.createOffer())
    await callee.connection.setRemoteDescription(caller.connection.localDescription)
    await callee.connection.setLocalDescription(await callee.connection.createAnswer())
    await caller.connection.setRemoteDescription(callee.connection.localDescription)
    await asyncio.wait_for(asyncio.gather(caller.whole.wait(), callee.whole.wait()), 60)
    said = {
        side.name: {
            "candidates": side.candidate_types(),
            "sha256": hashlib.sha256(side.received).hexdigest(),
        }
        for side in (caller, callee)
    }
    await asyncio.gather(caller.connection.close(), callee.connection.close())
    return said


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call(*sys.argv[1:4]))))
