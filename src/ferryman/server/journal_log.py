"""The journal written down: one line an entry, always with the client's address.

A reader of the journal; it vetoes nothing. Knows how entries read, not where lines go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import structlog

from ferryman.engine.five_tuple import FiveTuple, Transport
from ferryman.engine.journal import (
    BindingAnswered,
    Challenged,
    ChannelBound,
    Closed,
    ConnectionBound,
    ConnectionEnded,
    Ending,
    Entry,
    Moved,
    MoveGivenUp,
    Moving,
    Opened,
    PacketDropped,
    Permitted,
    Refreshed,
    RefusedRequest,
    RelayedClosed,
    Silence,
    Unanswered,
)
from ferryman.engine.refusals import Refusal
from ferryman.engine.settings import SECOND
from ferryman.server.line_budget import LineBudget
from ferryman.server.log import SteadyStream
from ferryman.wire.address import Address
from ferryman.wire.registry import Method

REFUSALS_PER_SECOND = 50
"""Lines that strangers can cause in a second; the rest are counted and reported in one line."""


_DETAILS = (
    Challenged,
    Refreshed,
    Moving,
    MoveGivenUp,
    Permitted,
    ChannelBound,
    ConnectionBound,
    ConnectionEnded,
)
"""Entries that only a verbose log shows."""


_OF_STRANGERS = (Challenged, RefusedRequest, Unanswered, BindingAnswered, PacketDropped)
"""Entries that need no password; all others are a client's doing, or the server's."""

# Looked up, for a name is asked of an enum member ten times more slowly.
_TRANSPORTS = {transport: transport.name.lower() for transport in Transport}
_METHODS: dict[int, str] = {method: method.name.lower() for method in Method}


class JournalLog:
    """Writes entries to a structlog logger; a batch of them leaves `stream` in one piece.

    `challenges`: how many there were while the log was verbose, told or not.
    """

    def __init__(self, log: structlog.typing.FilteringBoundLogger, stream: SteadyStream) -> None:
        self._log = log
        self._stream = stream
        self._second = 0
        self._in_second = 0
        self._suppressed = 0
        self._challenges_in_second = 0
        self.challenges = 0
        self._budget = LineBudget()
        self._told_stuck: tuple[str, ...] = ()
        self._silences: dict[Silence, tuple[int, Unanswered]] = {}
        self._writers: dict[type, Callable[[Any], None]] = {
            Challenged: self._challenge,
            Unanswered: self._unanswered,
            RefusedRequest: self._refused,
            BindingAnswered: self._binding_answered,
            PacketDropped: self._packet_dropped,
            Opened: self._opened,
            Refreshed: self._refreshed,
            RelayedClosed: self._relayed_closed,
            Moving: self._moving,
            Moved: self._moved,
            MoveGivenUp: self._move_given_up,
            Permitted: self._permitted,
            ChannelBound: self._channel_bound,
            ConnectionBound: self._connection_bound,
            ConnectionEnded: self._connection_ended,
            Closed: self._closed,
        }

    def write(self, entries: list[Entry], *, now: int) -> None:
        """Write the entries down; `now` in nanoseconds paces the lines that strangers cause."""
        if now // SECOND != self._second:
            self._new_second(now // SECOND)
        verbose = self._log.is_enabled_for(logging.DEBUG)
        with self._stream.hold():
            for entry in entries:
                if (verbose or not isinstance(entry, _DETAILS)) and self._has_room(entry):
                    self._writers[type(entry)](entry)

    def _has_room(self, entry: Entry) -> bool:
        if isinstance(entry, _OF_STRANGERS) or _is_servers_doing(entry):
            return True
        return self._budget.allows(entry.five_tuple.client.ip)

    def tell_suppressed(self) -> None:
        """Account for what was only counted; once a second, and at the end."""
        if self._suppressed:
            self._log.warning("refusals not logged one by one", count=self._suppressed)
        self._suppressed = 0
        untold = self._challenges_in_second - REFUSALS_PER_SECOND
        if untold > 0:
            self._log.info("challenges not logged one by one", count=untold)
        self._challenges_in_second = 0
        for source, count in self._budget.renew():
            self._log.warning("a client's doings not logged one by one", client=source, count=count)
        self._tell_stuck()
        lost = self._stream.take_lost()
        if lost:
            self._log.error("lines of the log could not be written", count=lost)
        for silence, (count, last) in self._silences.items():
            self._log.warning(
                "strangers got no answer",
                **_client(last.five_tuple),
                count=count,
                why=silence.value,
            )
        self._silences.clear()

    def _tell_stuck(self) -> None:
        """Once, until something else is wrong: the lines go where nobody may look for them."""
        stuck = self._stream.stuck
        for reason in stuck:
            if reason not in self._told_stuck:
                self._log.error("no new log file, lines go on to the old one", reason=reason)
        self._told_stuck = stuck

    def _new_second(self, second: int) -> None:
        self.tell_suppressed()
        self._second = second
        self._in_second = 0

    def _challenge(self, entry: Challenged) -> None:
        """Of strangers, who may be a flood: no more lines in a second than of refusals."""
        self.challenges += 1
        self._challenges_in_second += 1
        if self._challenges_in_second <= REFUSALS_PER_SECOND:
            self._challenged(entry)

    def _challenged(self, entry: Challenged) -> None:
        self._log.debug(
            "challenged",
            **_client(entry.five_tuple),
            method=_method(entry.method),
            code=entry.refusal.code,
            reason=entry.refusal.value.meaning,
        )

    def _unanswered(self, entry: Unanswered) -> None:
        """A flood of these makes one line a second, with the client that came last."""
        count, _ = self._silences.get(entry.silence, (0, entry))
        self._silences[entry.silence] = (count + 1, entry)

    def _binding_answered(self, entry: BindingAnswered) -> None:
        """The datapath tells so many a second."""
        self._log.info("binding answered", **_client(entry.five_tuple))

    def _packet_dropped(self, entry: PacketDropped) -> None:
        """The same."""
        self._log.info(
            "packet dropped",
            **_client(entry.five_tuple),
            why=entry.reason,
            length=entry.length,
            octets=entry.beginning.hex(),
        )

    def _refused(self, entry: RefusedRequest) -> None:
        self._in_second += 1
        if self._in_second > REFUSALS_PER_SECOND:
            self._suppressed += 1
        else:
            self._refusal(entry)

    def _refusal(self, entry: RefusedRequest) -> None:
        rule = entry.refusal.value
        if entry.refusal is Refusal.TRY_ALTERNATE:
            where = {"user": entry.username, "to": entry.detail}
            self._log.info("sent to another server", **_client(entry.five_tuple), **where)
            return
        self._log.warning(
            "refused",
            **_client(entry.five_tuple),
            user=entry.username,
            method=_method(entry.method),
            code=rule.code,
            reason=entry.detail or rule.meaning,
            clause=rule.clause.replace("§", "section "),
        )

    def _opened(self, entry: Opened) -> None:
        self._log.info(
            "allocation opened",
            **_allocation(entry),
            relayed=_relayed(entry.relayed),
            lifetime=entry.lifetime,
        )

    def _refreshed(self, entry: Refreshed) -> None:
        self._log.debug("allocation refreshed", **_allocation(entry), lifetime=entry.lifetime)

    def _moving(self, entry: Moving) -> None:
        self._log.debug("client moving", **_allocation(entry), before=str(entry.before.client))

    def _moved(self, entry: Moved) -> None:
        self._log.info("client moved", **_allocation(entry), before=str(entry.before.client))

    def _move_given_up(self, entry: MoveGivenUp) -> None:
        self._log.debug("client has not moved", **_allocation(entry))

    def _permitted(self, entry: Permitted) -> None:
        peers = ",".join(peer.host for peer in entry.peers)
        self._log.debug("permission installed", **_allocation(entry), peers=peers)

    def _channel_bound(self, entry: ChannelBound) -> None:
        self._log.debug(
            "channel bound",
            **_allocation(entry),
            channel=f"0x{entry.number:04X}",
            peer=str(entry.peer),
        )

    def _relayed_closed(self, entry: RelayedClosed) -> None:
        self._log.info(
            "relayed address closed",
            **_allocation(entry),
            relayed=str(entry.relayed),
            why=entry.ending.value,
        )

    def _connection_bound(self, entry: ConnectionBound) -> None:
        self._log.debug("peer connection bound", **_allocation(entry), peer=str(entry.peer))

    def _connection_ended(self, entry: ConnectionEnded) -> None:
        self._log.debug(
            "peer connection ended",
            **_allocation(entry),
            peer=str(entry.peer),
            sent_bytes=entry.sent_bytes,
            received_bytes=entry.received_bytes,
        )

    def _closed(self, entry: Closed) -> None:
        usage = entry.usage
        self._log.info(
            "allocation closed",
            **_allocation(entry),
            relayed=_relayed(entry.relayed),
            why=entry.ending.value,
            seconds=entry.seconds,
            sent_packets=usage.sent_packets,
            sent_bytes=usage.sent_bytes,
            received_packets=usage.received_packets,
            received_bytes=usage.received_bytes,
            dropped_packets=usage.dropped_packets,
        )


def _is_servers_doing(entry: Entry) -> bool:
    return isinstance(entry, Closed) and entry.ending is Ending.STOPPED


def _client(five_tuple: FiveTuple) -> dict[str, str]:
    return {"client": str(five_tuple.client), "transport": _TRANSPORTS[five_tuple.transport]}


def _relayed(addresses: tuple[Address, ...]) -> str:
    return ",".join(str(address) for address in addresses)


_OfAllocation: TypeAlias = (
    Opened
    | Refreshed
    | RelayedClosed
    | Moving
    | Moved
    | MoveGivenUp
    | Permitted
    | ChannelBound
    | ConnectionBound
    | ConnectionEnded
    | Closed
)


def _allocation(entry: _OfAllocation) -> dict[str, Any]:
    return {
        **_client(entry.five_tuple),
        "allocation": entry.allocation,
        "user": entry.username,
    }


def _method(number: int) -> str:
    return _METHODS[number]
