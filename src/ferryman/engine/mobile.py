"""What an allocation remembers of a client that may move (RFC 8016): which tickets are good and,
while it moves, where to. Knows nothing of requests.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from ferryman.engine.five_tuple import FiveTuple


@dataclass(slots=True)
class Mobile:
    """`newest` and `before` are serial numbers of tickets; no `newest`, no ticket: such a client
    does not move. One that does is on its way to `next_path`.

    `before` was shown for the newest, on `renewed_on`. From there, until `until`, it is taken for
    a retransmission; otherwise it is used up. When the move was given up it is as good as the
    newest, which may never have arrived: `before_is_good`.
    `connected`: False when the connection that was the client's path has ended.
    """

    newest: int = 0
    before: int | None = None
    before_is_good: bool = False
    renewed_on: FiveTuple | None = None
    next_path: FiveTuple | None = None
    until: int = 0
    connected: bool = True

    @property
    def is_mobile(self) -> bool:
        return self.newest > 0

    def accepts(self, serial: int) -> bool:
        """Whether the ticket may move the allocation to another path."""
        return serial == self.newest or (serial == self.before and self.before_is_good)

    def repeats(self, serial: int, path: FiveTuple, *, now: int) -> bool:
        """Whether a request with this ticket is one that was answered before (RFC 8016 §3.2.2)."""
        return serial == self.before and path == self.renewed_on and now < self.until

    def renew(self, shown: int, path: FiveTuple, *, until: int) -> None:
        """A fresh ticket in exchange for the one that was shown, and a path to go with it."""
        self.before, self.before_is_good = shown, False
        self.newest += 1
        self.renewed_on = self.next_path = path
        self.until = until


class Moving:
    """Allocations whose clients move, in the order in which their time runs out."""

    def __init__(self) -> None:
        self._until: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, number: int, *, until: int) -> None:
        """Of all that are here, this one has the most time."""
        self._until[number] = until
        self._until.move_to_end(number)

    def remove(self, number: int) -> None:
        self._until.pop(number, None)

    def take_due(self, *, now: int) -> list[int]:
        due = []
        while self._until and next(iter(self._until.values())) <= now:
            number, _ = self._until.popitem(last=False)
            due.append(number)
        return due
