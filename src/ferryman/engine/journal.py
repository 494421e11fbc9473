"""What happened, as values: logs, metrics and accounting read these entries and none may veto.

Every entry carries the client's 5-tuple. Entries know nothing of how they are written down.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeAlias

from ferryman.engine.changes import Usage
from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.refusals import Refusal
from ferryman.wire.address import Address


class Ending(Enum):
    """Why an allocation closed."""

    REFRESHED_TO_ZERO = "refreshed to zero"
    EXPIRED = "expired"
    DISCONNECTED = "client disconnected"
    STOPPED = "server stopped"


class Challenged(NamedTuple):
    """A request without credentials, or with a stale nonce, was shown realm and nonce."""

    five_tuple: FiveTuple
    method: int
    refusal: Refusal


class Silence(Enum):
    """Why a request that should have had a 400, 401 or 438 got no answer."""

    TOO_MANY = "more than unauthorized-ratelimit-rps from one source"
    TOO_SMALL = "the answer would be over four times the request"


class Unanswered(NamedTuple):
    """A stranger got no answer at all."""

    five_tuple: FiveTuple
    method: int
    silence: Silence


class RefusedRequest(NamedTuple):
    """A request was refused; `detail` says which rule, address or attribute it was."""

    five_tuple: FiveTuple
    method: int
    username: str
    refusal: Refusal
    detail: str


class Opened(NamedTuple):
    five_tuple: FiveTuple
    allocation: int
    username: str
    relayed: tuple[Address, ...]
    lifetime: int


class Refreshed(NamedTuple):
    five_tuple: FiveTuple
    allocation: int
    username: str
    lifetime: int


class Moving(NamedTuple):
    """The client showed its ticket on a new 5-tuple (RFC 8016); both lead to the allocation."""

    five_tuple: FiveTuple
    allocation: int
    username: str
    before: FiveTuple


class Moved(NamedTuple):
    """The client is on the new 5-tuple, the one before is forgotten."""

    five_tuple: FiveTuple
    allocation: int
    username: str
    before: FiveTuple


class MoveGivenUp(NamedTuple):
    """The client was not heard on the new 5-tuple, and that one is forgotten."""

    five_tuple: FiveTuple
    allocation: int
    username: str


class RelayedClosed(NamedTuple):
    """One relayed address of a dual allocation is gone; the allocation goes on."""

    five_tuple: FiveTuple
    allocation: int
    username: str
    relayed: Address
    ending: Ending


class Permitted(NamedTuple):
    five_tuple: FiveTuple
    allocation: int
    username: str
    peers: tuple[Address, ...]


class ChannelBound(NamedTuple):
    five_tuple: FiveTuple
    allocation: int
    username: str
    number: int
    peer: Address


class ConnectionBound(NamedTuple):
    """A client's data connection (`five_tuple`) is joined with a peer's (RFC 6062 §5.4)."""

    five_tuple: FiveTuple
    allocation: int
    username: str
    peer: Address


class ConnectionEnded(NamedTuple):
    """A bound connection is closed; `five_tuple` is the control connection's."""

    five_tuple: FiveTuple
    allocation: int
    username: str
    peer: Address
    sent_bytes: int
    received_bytes: int


class BindingAnswered(NamedTuple):
    """The datapath has answered a Binding request by itself."""

    five_tuple: FiveTuple


class PacketDropped(NamedTuple):
    """The datapath has dropped a client's packet of `length` octets that was none of TURN."""

    five_tuple: FiveTuple
    reason: str
    length: int
    beginning: bytes


class Closed(NamedTuple):
    """`seconds` is how long the allocation lived; `relayed` what it had in the end."""

    five_tuple: FiveTuple
    allocation: int
    username: str
    relayed: tuple[Address, ...]
    ending: Ending
    seconds: int
    usage: Usage


Entry: TypeAlias = (
    Challenged
    | Unanswered
    | RefusedRequest
    | Opened
    | Refreshed
    | RelayedClosed
    | Moving
    | Moved
    | MoveGivenUp
    | Permitted
    | ChannelBound
    | ConnectionBound
    | ConnectionEnded
    | BindingAnswered
    | PacketDropped
    | Closed
)
