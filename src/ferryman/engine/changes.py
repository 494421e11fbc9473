"""What a decision asks the datapath to do, in the order in which it must happen.

The engine speaks these words, the datapath obeys them. Every `expires_at` is CLOCK_MONOTONIC in
nanoseconds; the flow is dead from that instant on, whether or not anyone has deleted it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from ferryman.engine.five_tuple import FiveTuple
from ferryman.wire.address import Address, Family


class Reply(NamedTuple):
    """Send these bytes to the client. Leaves after all changes before it are in the table."""

    five_tuple: FiveTuple
    message: bytes


class OpenAllocation(NamedTuple):
    """Make `bound` (a relay socket bound ahead of need) the relayed address of a client.

    `advertised` is what the client and its peers know it by: `bound`, or its external address.
    `bytes_per_second`: the payload that may pass in each direction; 0 is no limit.
    """

    allocation: int
    five_tuple: FiveTuple
    bound: Address
    advertised: Address
    expires_at: int
    bytes_per_second: int = 0


class OpenTcpAllocation(NamedTuple):
    """The same for a TCP allocation (RFC 6062 §5.1): `bound` accepts connections from now on."""

    allocation: int
    five_tuple: FiveTuple
    bound: Address
    advertised: Address
    expires_at: int
    bytes_per_second: int = 0


class AddRelayed(NamedTuple):
    """Give the allocation a second relayed address, of the other family (RFC 8656 §7.2)."""

    allocation: int
    bound: Address
    advertised: Address
    expires_at: int


class ExtendAllocation(NamedTuple):
    """Move the end of all relayed addresses of the allocation."""

    allocation: int
    expires_at: int


class ExtendRelayed(NamedTuple):
    """Move the end of one relayed address (RFC 8656 §8.2)."""

    allocation: int
    family: Family
    expires_at: int


class MoveAllocation(NamedTuple):
    """Open a second path to the client (RFC 8016 §3.2.2); alive until `until`.

    The client is heard on both and sent to on the one that it had, until a Send indication or
    ChannelData comes over this one. Then the datapath forgets the one that it had and says so.
    Another second path is forgotten at once.
    """

    allocation: int
    five_tuple: FiveTuple
    until: int


class LeavePath(NamedTuple):
    """Forget one of two paths; the other is the path. The only path is never forgotten."""

    allocation: int
    five_tuple: FiveTuple


class CloseAllocation(NamedTuple):
    """Forget the allocation and all its flows; the datapath answers with its `Usage`."""

    allocation: int


class CloseRelayed(NamedTuple):
    """Forget one relayed address, its permissions and channels; the datapath tells when."""

    allocation: int
    family: Family


class Permit(NamedTuple):
    """Install or refresh a permission (RFC 8656 §9) for a peer's IP, 4 or 16 bytes.

    `relayed_only`: the IP is one of this server's own; only ports that are live allocations'
    relayed addresses may be reached on it, and only inside the datapath.
    """

    allocation: int
    peer_ip: bytes
    relayed_only: bool
    expires_at: int


class BindChannel(NamedTuple):
    """Bind or refresh a channel (RFC 8656 §12). `relayed_only` as in `Permit`."""

    allocation: int
    number: int
    peer: Address
    relayed_only: bool
    expires_at: int


class Connect(NamedTuple):
    """Connect from a TCP allocation's relayed address to a peer (RFC 6062 §5.2).

    The datapath answers whether it succeeded. `relayed_only`: the peer has to be a live TCP
    relayed address of this server.
    """

    connection: int
    allocation: int
    peer: Address
    relayed_only: bool


class Join(NamedTuple):
    """Make a client's connection and a peer's one stream each way (RFC 6062 §5.4).

    What the client sends behind its request is data. The reply that follows is the last STUN
    message on the client's connection.
    """

    connection: int
    five_tuple: FiveTuple


class CloseConnection(NamedTuple):
    """Close a peer's connection, whatever has become of it, and the client's that it is joined
    with."""

    connection: int


Change: TypeAlias = (
    Reply
    | OpenAllocation
    | OpenTcpAllocation
    | AddRelayed
    | ExtendAllocation
    | ExtendRelayed
    | MoveAllocation
    | LeavePath
    | CloseAllocation
    | CloseRelayed
    | Permit
    | BindChannel
    | Connect
    | Join
    | CloseConnection
)


class Usage(NamedTuple):
    """What an allocation carried: payload packets and bytes, from the client and to it."""

    sent_packets: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    dropped_packets: int = 0
