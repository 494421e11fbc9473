"""Every way the engine says no, by name: one row per rule, with its code and the clause behind it.

Knows the rules, not the requests: the modules named after the methods decide which row applies.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

REASONS = {
    300: "Try Alternate",
    400: "Bad Request",
    401: "Unauthenticated",
    403: "Forbidden",
    405: "Mobility Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    446: "Connection Already Exists",
    447: "Connection Timeout or Failure",
    486: "Allocation Quota Reached",
    508: "Insufficient Capacity",
}
"""Reason phrases as RFC 8489 §14.8, RFC 8656 §19 and RFC 6062 §6.3 give them."""


class Rule(NamedTuple):
    code: int
    clause: str
    meaning: str


class Refusal(Enum):
    """One name per rule. The value carries the STUN error code, its clause and its meaning."""

    NO_INTEGRITY = Rule(
        401,
        "RFC 8489 §9.2.4",
        "the request carries neither MESSAGE-INTEGRITY nor MESSAGE-INTEGRITY-SHA256",
    )
    INCOMPLETE_CREDENTIALS = Rule(
        400, "RFC 8489 §9.2.4", "integrity without USERNAME or USERHASH, REALM, or NONCE"
    )
    ALGORITHM_WITHOUT_LIST = Rule(
        400,
        "RFC 8489 §9.2.4",
        "only one of PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS is there",
    )
    OTHER_LIST = Rule(
        400, "RFC 8489 §9.2.4", "PASSWORD-ALGORITHMS is not the list that came with the nonce"
    )
    ALGORITHM_NOT_OFFERED = Rule(
        400, "RFC 8489 §9.2.4", "PASSWORD-ALGORITHM is not in the list that came with the nonce"
    )
    STALE_NONCE = Rule(438, "RFC 8489 §9.2.4", "the nonce is not one of ours or has expired")
    UNKNOWN_USER = Rule(401, "RFC 8489 §9.2.4", "no key is known for the username")
    MD5_KEY_ONLY = Rule(
        438, "RFC 8489 §9.2.4", "the user has no SHA-256 key; a list with MD5 alone comes along"
    )
    BID_DOWN = Rule(
        438, "RFC 8489 §9.2.1", "the nonce was issued with MD5 alone, and the user has SHA-256"
    )
    WRONG_PASSWORD = Rule(
        401, "RFC 8489 §9.2.4", "the integrity of the request does not match the key"
    )
    BAD_ACCESS_TOKEN = Rule(401, "RFC 7635 §7", "the access token is not good, or not any more")
    UNKNOWN_ATTRIBUTE = Rule(
        420, "RFC 8489 §6.3.1", "a comprehension-required attribute is not understood"
    )
    MALFORMED_ATTRIBUTE = Rule(400, "RFC 8489 §6.3", "an attribute's value is malformed")
    WRONG_CREDENTIALS = Rule(441, "RFC 8656 §5", "the allocation belongs to another username")
    OTHER_ORIGIN = Rule(
        441,
        "draft-ietf-tram-stun-origin §3",
        "ORIGIN is not that of the request that opened the allocation",
    )
    NO_ALLOCATION = Rule(437, "RFC 8656 §5", "there is no allocation for this 5-tuple")

    ALLOCATION_EXISTS = Rule(437, "RFC 8656 §7.2", "the 5-tuple already has an allocation")
    TUNNELLED_CLIENT = Rule(
        403, "RFC 8656 §21.4", "the client speaks from an automatic tunnel, 6to4 or Teredo"
    )
    TRY_ALTERNATE = Rule(300, "RFC 8489 §10", "clients are sent to another server")
    DRAINING = Rule(403, "RFC 8656 §7.4", "the server is about to end: it takes no new clients")
    NO_REQUESTED_TRANSPORT = Rule(400, "RFC 8656 §7.2", "REQUESTED-TRANSPORT is missing")
    UNSUPPORTED_TRANSPORT = Rule(
        442, "RFC 6062 §5.1", "the requested transport is neither UDP nor TCP, or not served"
    )
    UDP_FORBIDDEN = Rule(403, "RFC 6062 §5.1", "UDP towards peers is forbidden here")
    TCP_OVER_DATAGRAMS = Rule(
        400, "RFC 6062 §5.1", "a TCP allocation is asked for over neither TCP nor TLS"
    )
    TCP_WITH_UDP_ATTRIBUTE = Rule(
        400,
        "RFC 6062 §5.1",
        "a TCP allocation is asked for with DONT-FRAGMENT, EVEN-PORT or RESERVATION-TOKEN",
    )
    TOKEN_AND_EVEN_PORT = Rule(400, "RFC 8656 §7.2", "RESERVATION-TOKEN together with EVEN-PORT")
    TOKEN_AND_FAMILY = Rule(
        400, "RFC 8656 §7.2", "RESERVATION-TOKEN together with REQUESTED-ADDRESS-FAMILY"
    )
    TOKEN_AND_ADDITIONAL = Rule(
        400, "RFC 8656 §7.2", "RESERVATION-TOKEN together with ADDITIONAL-ADDRESS-FAMILY"
    )
    UNKNOWN_TOKEN = Rule(508, "RFC 8656 §7.2", "the reservation token is unknown or expired")
    UNSUPPORTED_FAMILY = Rule(
        440, "RFC 8656 §7.2", "no relayed address of the requested family can be had"
    )
    FAMILY_AND_ADDITIONAL = Rule(
        400, "RFC 8656 §7.2", "REQUESTED- together with ADDITIONAL-ADDRESS-FAMILY"
    )
    PAIR_AND_ADDITIONAL = Rule(
        400, "RFC 8656 §7.2", "EVEN-PORT with the R bit and ADDITIONAL-ADDRESS-FAMILY"
    )
    ADDITIONAL_FAMILY = Rule(
        400, "RFC 8656 §7.2", "ADDITIONAL-ADDRESS-FAMILY asks for another family than IPv6"
    )
    USER_QUOTA = Rule(486, "RFC 8656 §7.2", "the user has reached user-quota")
    TOTAL_QUOTA = Rule(486, "RFC 8656 §7.2", "the server has reached total-quota")
    SOURCE_QUOTA = Rule(486, "RFC 8656 §7.2", "the client's address has reached source-quota")
    CAPACITY = Rule(486, "RFC 8656 §7.2", "the bandwidth of bps-capacity is promised to others")
    NO_PORT = Rule(508, "RFC 8656 §7.2", "no relay port is free")
    NEITHER_FAMILY = Rule(508, "RFC 8656 §7.2", "no relayed address can be had, of neither family")

    REFRESH_FAMILY = Rule(
        443, "RFC 8656 §8.2", "REQUESTED-ADDRESS-FAMILY is no family of the allocation"
    )

    TICKET_IN_ALLOCATE = Rule(400, "RFC 8016 §3.1.2", "MOBILITY-TICKET in Allocate is not empty")
    MOBILITY_OF_TCP = Rule(405, "RFC 8016 §3.1.2", "a TCP allocation does not move")
    MOBILITY_OFF = Rule(405, "RFC 8016 §3.1.2", "mobility is off")
    MOBILITY_OF_ANYONE = Rule(
        405, "RFC 8016 §5", "mobility needs credentials, which no-auth waives"
    )
    INVALID_TICKET = Rule(400, "RFC 8016 §3.2.2", "the ticket is not one of ours")
    TICKET_OF_ANOTHER = Rule(441, "RFC 8016 §3.2.2", "the ticket belongs to another username")
    NO_TICKETED_ALLOCATION = Rule(437, "RFC 8016 §3.2.2", "the ticket's allocation is gone")
    TICKET_WITHOUT_MOVE = Rule(
        400, "RFC 8016 §3.2.2", "a ticket on the 5-tuple that the allocation has already"
    )
    OLD_TICKET = Rule(400, "RFC 8016 §3.2.2", "the ticket has been used")
    PATH_TAKEN = Rule(437, "RFC 8656 §5", "the new 5-tuple has another allocation")
    MOVE_TO_RELAYED = Rule(
        403, "RFC 8656 §21.1.7", "the new 5-tuple comes from a relayed address of this server"
    )

    NO_PEER = Rule(400, "RFC 8656 §10.2", "XOR-PEER-ADDRESS is missing")
    PEER_FAMILY = Rule(
        443, "RFC 8656 §10.2", "the allocation has no relayed address of the peer's family"
    )
    FORBIDDEN_PEER = Rule(403, "RFC 8656 §10.2", "a peer rule refuses this address")
    TOO_MANY_PERMISSIONS = Rule(508, "RFC 8656 §10.2", "the allocation has too many permissions")

    NO_CHANNEL_NUMBER = Rule(400, "RFC 8656 §12.2", "CHANNEL-NUMBER is missing")
    CHANNEL_RANGE = Rule(400, "RFC 8656 §12.2", "the channel number is out of range")
    CHANNEL_PORT = Rule(400, "RFC 8656 §12.2", "a channel cannot be bound to port 0")
    CHANNEL_TAKEN = Rule(400, "RFC 8656 §12.2", "the channel number is bound to another peer")
    PEER_TAKEN = Rule(400, "RFC 8656 §12.2", "the peer is bound to another channel number")
    TOO_MANY_CHANNELS = Rule(508, "RFC 8656 §12.2", "the allocation has too many channels")
    CHANNEL_OVER_TCP = Rule(437, "RFC 6062 §3", "a TCP allocation has no channels")

    CONNECT_FROM_UDP = Rule(437, "RFC 6062 §5.2", "there is no TCP allocation for this 5-tuple")
    CONNECTION_EXISTS = Rule(
        446, "RFC 6062 §5.2", "the allocation has a connection with this peer, or waits for one"
    )
    CONNECT_TO_NOBODY = Rule(400, "RFC 6062 §5.2", "XOR-PEER-ADDRESS is missing")
    CONNECT_TO_PORT_0 = Rule(400, "RFC 6062 §5.2", "nobody can be reached on port 0")
    TOO_MANY_CONNECTIONS = Rule(508, "RFC 6062 §5.2", "there are too many peer connections")
    CONNECTION_FAILED = Rule(447, "RFC 6062 §5.2", "the peer cannot be reached")

    BIND_OVER_DATAGRAMS = Rule(
        400, "RFC 6062 §5.4", "the client's connection is neither TCP nor TLS"
    )
    BIND_ON_CONTROL = Rule(
        400, "RFC 6062 §4.3", "the connection carries an allocation; data needs one of its own"
    )
    NO_CONNECTION_ID = Rule(400, "RFC 6062 §5.4", "CONNECTION-ID is missing")
    UNKNOWN_CONNECTION = Rule(
        400, "RFC 6062 §5.4", "no connection of this user waits under this CONNECTION-ID"
    )

    @property
    def code(self) -> int:
        return self.value.code

    @property
    def reason(self) -> str:
        return REASONS[self.code]


class Refused(Exception):
    """Raised by a rule; becomes an error response and a `Refused` journal entry.

    `detail` is for the operator's log, never for the client.
    """

    def __init__(
        self,
        refusal: Refusal,
        detail: str = "",
        attributes: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        super().__init__(refusal.name, detail)
        self.refusal = refusal
        self.detail = detail
        self.attributes = attributes
