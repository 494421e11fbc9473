"""Three network namespaces: this process's own, for the server, and one at the end of each of its
two links, for a client and for a peer.

The ends behave as machines behind a wire do: checksums are whole, and what a program sends
arrives (veth needs GRO there for that).
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SIOCETHTOOL, _SIOCGIFHWADDR = 0x8946, 0x8927
_ETHTOOL_STXCSUM, _ETHTOOL_SGRO = 0x17, 0x2C

SERVER = {4: "192.0.2.1", 6: "2001:db8::1"}
CLIENT = {4: "192.0.2.2", 6: "2001:db8::2"}
RELAY = {4: "198.51.100.1", 6: "2001:db8:1::1"}
PEER = {4: "198.51.100.4", 6: "2001:db8:1::4"}
_PREFIX = {4: 24, 6: 64}


class Namespace:
    """A network namespace of its own, and the thread that lives in it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self.run(_leave)
        self.number = self.run(threading.get_native_id)
        self.run(ip, "link set lo up")

    def run(self, what: Callable[..., T], *arguments: object) -> T:
        """Done in there; sockets stay there."""
        return self._thread.submit(what, *arguments).result()


def _leave() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def build() -> tuple[Namespace, Namespace]:
    """The links and addresses; returns the client's namespace and the peer's. This process must be
    alone in its namespace."""
    ip("link set lo up")
    client, peer = Namespace(), Namespace()
    _link("near", SERVER, client, CLIENT)
    _link("far", RELAY, peer, PEER)
    for end, name, gateway in ((client, "near-end", SERVER), (peer, "far-end", RELAY)):
        for family in (4, 6):
            # For who answers at once, and for the first packet to be no special one.
            end.run(ip, f"route add default via {gateway[family]} dev {name}")
    return client, peer


def build_together() -> Namespace:
    """The same with both ends in one namespace, for a program that is client and peer."""
    ip("link set lo up")
    world = Namespace()
    _link("near", SERVER, world, CLIENT)
    _link("far", RELAY, world, PEER)
    return world


def _link(name: str, own: dict[int, str], other: Namespace, theirs: dict[int, str]) -> None:
    end = f"{name}-end"
    ip(f"link add {name} type veth peer name {end}")
    ip(f"link set {end} netns {other.number}")
    _bring_up(name, own)
    other.run(_bring_up, end, theirs)


def _bring_up(name: str, addresses: dict[int, str]) -> None:
    set_feature(name, _ETHTOOL_STXCSUM, on=False)
    ip(f"link set {name} up")
    # The other end learns of it only now that this one is up.
    set_feature(name, _ETHTOOL_SGRO, on=True)
    for family, address in addresses.items():
        nodad = " nodad" if family == 6 else ""
        ip(f"address add {address}/{_PREFIX[family]} dev {name}{nodad}")


def receive_from_drivers(ends: tuple[Namespace, Namespace], *, on: bool) -> None:
    """Whether the ends take what the drivers of this namespace's links send."""
    for end, name in zip(ends, ("near-end", "far-end"), strict=True):
        end.run(lambda name=name: set_feature(name, _ETHTOOL_SGRO, on=on))


def set_feature(interface: str, command: int, *, on: bool) -> None:
    """As `ethtool --offload` does."""
    value = ctypes.create_string_buffer(struct.pack("II", command, on))
    request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SIOCETHTOOL, request)


def mac_of(interface: str) -> bytes:
    """Of an interface of this namespace."""
    request = struct.pack("256s", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        return fcntl.ioctl(anything, _SIOCGIFHWADDR, request)[18:24]


def has_program(interface: str) -> bool:
    """Whether an XDP program is on an interface of this namespace."""
    shown = subprocess.run(
        ["ip", "link", "show", "dev", interface], check=True, capture_output=True, text=True
    )
    return "xdp" in shown.stdout
