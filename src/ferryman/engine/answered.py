"""Answers already given, so that a retransmitted request gets the same one (RFC 8489 §6.3.1).

Only requests that proved their key are remembered (under no-auth, all of them), for as long as a
client may retransmit (RFC 8489 §6.2.1: 39.5 s), and never more than a fixed number of them.
"""

from __future__ import annotations

from collections import OrderedDict

from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.settings import SECOND

RETRANSMISSION_WINDOW = 40 * SECOND
CAPACITY = 16_384


class Answered:
    """The last answers by 5-tuple and request; the oldest go first.

    A request is known by the hash of its octets, 64 bits under a key that changes with every
    process: a large request then costs no more memory than a small one.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # Ordered: the first key of a plain dict is found ever more slowly as the front is deleted.
        self._answers: OrderedDict[tuple[FiveTuple, int], tuple[int, bytes]] = OrderedDict()

    def remember(self, client: FiveTuple, packet: bytes, answer: bytes, *, now: int) -> None:
        key = (client, hash(packet))
        self._answers[key] = (now + RETRANSMISSION_WINDOW, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._capacity:
            self._answers.popitem(last=False)

    def answer_to(self, client: FiveTuple, packet: bytes, *, now: int) -> bytes | None:
        """The bytes sent before, if this very packet came from this client a moment ago."""
        found = self._answers.get((client, hash(packet)))
        return found[1] if found is not None and now < found[0] else None

    def expire(self, *, now: int) -> None:
        """Forget what no client retransmits any more; entries lie in order of time."""
        while self._answers:
            if now < next(iter(self._answers.values()))[0]:
                return
            self._answers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._answers)
