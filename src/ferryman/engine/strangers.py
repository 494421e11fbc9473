"""What may be sent to those who have proved nothing: over UDP their address may be a victim's.

No answer to them is more than four times as long as its request, and no source gets more of them
than it can have asked for. Where no source can be forged, none hears more often than that that a
password was wrong. Knows no rule of TURN.
"""

from __future__ import annotations

from collections import OrderedDict

from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.settings import SECOND
from ferryman.engine.source import source_of

AMPLIFICATION = 4
"""How many times its request's length an unauthenticated answer over UDP may have."""

SMALLEST_ALLOCATE = 28
"""Octets of an Allocate that has REQUESTED-TRANSPORT and nothing else, as browsers send it."""

CAPACITY = 16_384
"""Sources that are remembered; the one that was heard of longest ago goes first."""

BURST_SECONDS = 10
"""A source that was quiet may have the answers of so many seconds at once: behind one address
there may be a whole company that comes back after an outage."""

_WITHOUT_REALM = 44  # header, ERROR-CODE without a phrase, REALM's header, a decoy for a NONCE
_FINGERPRINT = 8


def fits(answer: bytes, packet: bytes, transport: Transport) -> bool:
    """Whether this answer may go to whoever sent this packet. Only UDP has forged sources: a DTLS
    client has shown its cookie, a stream its handshake."""
    return transport is not Transport.UDP or len(answer) <= AMPLIFICATION * len(packet)


def shortest_challenge(realm: str, *, fingerprint: bool) -> int:
    """Octets of the smallest 401 that can show this realm."""
    length = len(realm.encode())
    return _WITHOUT_REALM + length + -length % 4 + _FINGERPRINT * fingerprint


class Strangers:
    """When each source is due its next answer; nothing but a number for each of `CAPACITY`."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._due: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def may_be_answered(self, client: FiveTuple, per_second: int, *, now: int) -> bool:
        """Whether this source may have one more answer now, of `per_second` on average; 0: any
        number. Asked over UDP only: other transports have no forged sources."""
        return client.transport is not Transport.UDP or self._has_turn(client, per_second, now=now)

    def may_hear_it_was_wrong(self, client: FiveTuple, per_second: int, *, now: int) -> bool:
        """The same for answers to wrong passwords over all other transports, of which the first
        challenge is none. Over UDP `may_be_answered` counts them."""
        return client.transport is Transport.UDP or self._has_turn(client, per_second, now=now)

    def _has_turn(self, client: FiveTuple, per_second: int, *, now: int) -> bool:
        if not per_second:
            return True
        source = source_of(client.client.ip)
        due = max(self._due.get(source, 0), now)
        answered = due - now < BURST_SECONDS * SECOND
        self._due[source] = due + SECOND // per_second if answered else due
        self._due.move_to_end(source)
        if len(self._due) > self._capacity:
            self._due.popitem(last=False)
        return answered
