"""The door to the native datapath: the engine's words in, what the datapath has to tell out.

Translation only: values become the plain tuples that cross into Rust, and back. Knows no decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from ferryman.engine.changes import (
    AddRelayed,
    BindChannel,
    Change,
    CloseAllocation,
    CloseConnection,
    CloseRelayed,
    Connect,
    ExtendAllocation,
    ExtendRelayed,
    Join,
    LeavePath,
    MoveAllocation,
    OpenAllocation,
    OpenTcpAllocation,
    Permit,
    Reply,
    Usage,
)
from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.gate import Gate
from ferryman.wire.address import Address, Family

RawFiveTuple: TypeAlias = tuple[int, bytes, int, bytes, int, int]
RawDiscovery: TypeAlias = tuple[tuple[bytes, bytes], tuple[bytes, bytes], tuple[int, int]]
"""For RFC 5780: primary and alternate IP as bound, the same as advertised, the two ports."""

RawGate: TypeAlias = tuple[bytes, bytes, bytes, int, tuple[bytes, bytes], bytes, bool, int, int]
"""What strangers are told, field by field as in `Gate`."""

Command: TypeAlias = tuple[Any, ...]


class Asked(NamedTuple):
    """A request that only the engine can answer."""

    five_tuple: FiveTuple
    packet: bytes


class Closed(NamedTuple):
    """An allocation is closed, its relay socket too; `usage` is what it carried."""

    allocation: int
    usage: Usage


class RelayedClosed(NamedTuple):
    """One relayed address of an allocation is closed, its relay socket too."""

    allocation: int
    family: Family


class Disconnected(NamedTuple):
    """A client's connection (any but UDP) is gone."""

    five_tuple: FiveTuple


class Moved(NamedTuple):
    """A client that was moving (RFC 8016) is sent to on this 5-tuple from now on."""

    allocation: int
    five_tuple: FiveTuple


class Noticed(NamedTuple):
    """Something that the operator should know."""

    text: str


class BindingSeen(NamedTuple):
    """A Binding request was answered, and the operator wants to know."""

    five_tuple: FiveTuple


class DropSeen(NamedTuple):
    """A client's packet of `length` octets was dropped, and the operator wants to know."""

    five_tuple: FiveTuple
    reason: str
    length: int
    beginning: bytes


class Connected(NamedTuple):
    """An attempt to connect to a peer is over (RFC 6062 §5.2)."""

    connection: int
    succeeded: bool


class Arrived(NamedTuple):
    """A permitted peer has connected to a relayed address (RFC 6062 §5.3)."""

    allocation: int
    peer: Address
    connection: int


class Ended(NamedTuple):
    """A peer's connection is closed, and the client's that it was joined with."""

    connection: int
    sent_bytes: int
    received_bytes: int


Event: TypeAlias = (
    Asked
    | Closed
    | RelayedClosed
    | Disconnected
    | Noticed
    | BindingSeen
    | DropSeen
    | Moved
    | Connected
    | Arrived
    | Ended
)


class Native(Protocol):
    """What the door needs of the native side (see `_native.pyi`); the fake offers it too."""

    def apply(self, commands: list[Command]) -> None: ...
    def drain(self, limit: int = 64) -> list[tuple[Any, ...]]: ...


class Guarded(Protocol):
    """What `guard` needs of the native side."""

    def guard(self, settings: RawGate | None) -> None: ...


def pack_five_tuple(five_tuple: FiveTuple) -> RawFiveTuple:
    transport, client, server, socket = five_tuple
    return (int(transport), client.ip, client.port, server.ip, server.port, socket)


def unpack_five_tuple(raw: RawFiveTuple) -> FiveTuple:
    transport, client_ip, client_port, server_ip, server_port, socket = raw
    return FiveTuple(
        _TRANSPORTS[transport],
        Address(client_ip, client_port),
        Address(server_ip, server_port),
        socket,
    )


def apply(native: Native, changes: Sequence[Change]) -> None:
    """Hand the changes over, in order; returns before they have happened."""
    if changes:
        native.apply([_COMMANDS[type(change)](change) for change in changes])


def guard(native: Guarded, gate: Gate | None) -> None:
    """Have strangers answered in this way from now on; None: ask about every request."""
    native.guard(None if gate is None else pack_gate(gate))


def pack_gate(gate: Gate) -> RawGate:
    return (
        gate.realm,
        gate.cookie,
        gate.key,
        gate.lifetime,
        gate.algorithms,
        gate.third_party,
        gate.fingerprint,
        gate.per_second,
        gate.ahead,
    )


def drain(native: Native, limit: int) -> list[Event]:
    """At most `limit` events, oldest first."""
    return [_EVENTS[raw[0]](raw) for raw in native.drain(limit)]


_TRANSPORTS = {int(transport): transport for transport in Transport}


def _reply(change: Reply) -> Command:
    return (0, pack_five_tuple(change.five_tuple), change.message)


def _open(change: OpenAllocation | OpenTcpAllocation) -> Command:
    return (
        11 if isinstance(change, OpenTcpAllocation) else 1,
        change.allocation,
        pack_five_tuple(change.five_tuple),
        change.bound.ip,
        change.bound.port,
        change.advertised.ip,
        change.advertised.port,
        change.expires_at,
        change.bytes_per_second,
    )


def _add_relayed(change: AddRelayed) -> Command:
    allocation, bound, advertised, expires_at = change
    return (6, allocation, *bound, *advertised, expires_at)


def _extend_relayed(change: ExtendRelayed) -> Command:
    return (12, change.allocation, int(change.family), change.expires_at)


def _close_relayed(change: CloseRelayed) -> Command:
    return (13, change.allocation, int(change.family))


def _extend(change: ExtendAllocation) -> Command:
    return (2, change.allocation, change.expires_at)


def _close(change: CloseAllocation) -> Command:
    return (3, change.allocation)


def _permit(change: Permit) -> Command:
    return (4, change.allocation, change.peer_ip, change.relayed_only, change.expires_at)


def _bind_channel(change: BindChannel) -> Command:
    peer_ip, peer_port = change.peer
    return (
        5,
        change.allocation,
        change.number,
        peer_ip,
        peer_port,
        change.relayed_only,
        change.expires_at,
    )


def _move(change: MoveAllocation) -> Command:
    return (7, change.allocation, pack_five_tuple(change.five_tuple), change.until)


def _leave(change: LeavePath) -> Command:
    return (14, change.allocation, pack_five_tuple(change.five_tuple))


def _connect(change: Connect) -> Command:
    peer_ip, peer_port = change.peer
    return (8, change.connection, change.allocation, peer_ip, peer_port, change.relayed_only)


def _join(change: Join) -> Command:
    return (9, change.connection, pack_five_tuple(change.five_tuple))


def _close_connection(change: CloseConnection) -> Command:
    return (10, change.connection)


_COMMANDS: dict[type, Callable[[Any], Command]] = {
    Reply: _reply,
    OpenAllocation: _open,
    AddRelayed: _add_relayed,
    ExtendRelayed: _extend_relayed,
    CloseRelayed: _close_relayed,
    OpenTcpAllocation: _open,
    ExtendAllocation: _extend,
    CloseAllocation: _close,
    Permit: _permit,
    BindChannel: _bind_channel,
    MoveAllocation: _move,
    LeavePath: _leave,
    Connect: _connect,
    Join: _join,
    CloseConnection: _close_connection,
}


_EVENTS: dict[int, Callable[[tuple[Any, ...]], Event]] = {
    0: lambda raw: Asked(unpack_five_tuple(raw[1]), raw[2]),
    1: lambda raw: Closed(raw[1], Usage(*raw[2:])),
    2: lambda raw: Disconnected(unpack_five_tuple(raw[1])),
    3: lambda raw: Noticed(raw[1]),
    4: lambda raw: Connected(raw[1], raw[2]),
    5: lambda raw: Arrived(raw[1], Address(raw[2], raw[3]), raw[4]),
    6: lambda raw: Ended(*raw[1:]),
    7: lambda raw: Moved(raw[1], unpack_five_tuple(raw[2])),
    8: lambda raw: RelayedClosed(raw[1], Family(raw[2])),
    9: lambda raw: BindingSeen(unpack_five_tuple(raw[1])),
    10: lambda raw: DropSeen(unpack_five_tuple(raw[1]), *raw[2:]),
}
