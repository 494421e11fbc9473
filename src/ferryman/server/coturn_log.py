"""The journal in coturn's own lines, for fail2ban, billing and whatever else reads them.

The shapes are those of coturn 4.17 with `verbose`. Beyond them, a line that tells of an error ends
with the client's address, which coturn leaves out. Knows how entries read, not where lines go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from structlog.typing import FilteringBoundLogger

from ferryman.engine.five_tuple import FiveTuple
from ferryman.engine.journal import (
    BindingAnswered,
    Challenged,
    ChannelBound,
    Closed,
    ConnectionBound,
    ConnectionEnded,
    Ending,
    Moved,
    MoveGivenUp,
    Moving,
    Opened,
    Permitted,
    Refreshed,
    RefusedRequest,
    RelayedClosed,
)
from ferryman.engine.refusals import REASONS, Refusal
from ferryman.server.journal_log import JournalLog
from ferryman.server.log import SteadyStream
from ferryman.wire.address import Address
from ferryman.wire.registry import Method

_NO_SESSION = 0
"""The session of a client that has no allocation."""

_REASONS = {
    Ending.REFRESHED_TO_ZERO: "allocation timeout",
    Ending.EXPIRED: "allocation timeout",
    Ending.DISCONNECTED: "TCP connection closed by client (callback)",
    Ending.STOPPED: "server stopped",
}
_PHRASES = {**REASONS, 401: "Unauthorized", 438: "Stale nonce"}
_UNPROVED = {
    Refusal.UNKNOWN_USER: "Cannot find credentials of user <{}>",
    Refusal.WRONG_PASSWORD: "user {} credentials are incorrect",
    Refusal.BAD_ACCESS_TOKEN: "user {} credentials are incorrect",
}
_NOT_IN_COTURN = (ConnectionBound, ConnectionEnded, MoveGivenUp, RelayedClosed)
"""Entries that have the lines of the other formats; a name in them is no sentence either."""
_DELIMITERS = re.compile(r"""[\s<>,"'\\]""")


class Lifetimes(NamedTuple):
    """Seconds that a permission and a channel binding last."""

    permission: int
    channel: int


class CoturnJournalLog(JournalLog):
    """Writes entries as coturn does. `realm` is the one that clients are told, `lifetimes` those
    that hold now."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        stream: SteadyStream,
        realm: str,
        lifetimes: Callable[[], Lifetimes],
    ) -> None:
        super().__init__(log, stream)
        self._realm = _plain(realm)
        self._lifetimes = lifetimes
        for kind in _NOT_IN_COTURN:
            self._writers[kind] = _with_plain_name(self._writers[kind])

    def _challenged(self, entry: Challenged) -> None:
        self._error(entry.five_tuple, "message", "", entry.refusal)

    def _binding_answered(self, entry: BindingAnswered) -> None:
        self._info(
            _NO_SESSION,
            f"realm <{self._realm}> user <>: incoming packet BINDING processed, success, "
            f"remote {entry.five_tuple.client}",
        )

    def _refusal(self, entry: RefusedRequest) -> None:
        unproved = _UNPROVED.get(entry.refusal)
        user = _plain(entry.username)
        if unproved is not None:
            text = f"check_stun_auth: {unproved.format(user)}, remote {entry.five_tuple.client}"
            self._log.error(_session(_NO_SESSION, text))
        method = "message" if entry.refusal.code in (401, 438) else _method(entry.method)
        self._error(entry.five_tuple, method, user, entry.refusal, entry.detail)

    def _error(
        self, client: FiveTuple, method: str, user: str, refusal: Refusal, detail: str = ""
    ) -> None:
        is_peer = refusal is Refusal.FORBIDDEN_PEER
        phrase = "Forbidden IP" if is_peer else _PHRASES[refusal.code]
        self._info(
            _NO_SESSION,
            f"realm <{self._realm}> user <{user}>: incoming packet {method} processed, "
            f"error {refusal.code}: {phrase}, remote {client.client}"
            + (f", because: {detail}" if detail else ""),
        )

    def _opened(self, entry: Opened) -> None:
        for relayed in entry.relayed:
            self._log.info(f"IPv{_version(relayed)}. Local relay addr: {relayed}")
        self._told(entry, f"new, {self._whose(entry)}, lifetime={entry.lifetime}")
        self._succeeded(entry, Method.ALLOCATE)

    def _refreshed(self, entry: Refreshed) -> None:
        self._told(entry, f"refreshed, {self._whose(entry)}, lifetime={entry.lifetime}")
        self._succeeded(entry, Method.REFRESH)

    def _permitted(self, entry: Permitted) -> None:
        for peer in entry.peers:
            self._told(entry, f"peer {peer} lifetime updated: {self._lifetimes().permission}")
        self._succeeded(entry, Method.CREATE_PERMISSION)

    def _channel_bound(self, entry: ChannelBound) -> None:
        self._told(entry, f"peer {entry.peer} lifetime updated: {self._lifetimes().channel}")
        self._succeeded(entry, Method.CHANNEL_BIND)

    def _moving(self, entry: Moving) -> None:
        self._told(entry, f"mobility handoff started, remote {entry.five_tuple.client}")

    def _moved(self, entry: Moved) -> None:
        self._told(entry, f"mobility handoff completed, remote {entry.five_tuple.client}")

    def _closed(self, entry: Closed) -> None:
        """r: what the server received, s: what it sent; of the client first, then of the peers."""
        whose, usage = self._whose(entry), entry.usage
        up = (usage.sent_packets, usage.sent_bytes)
        down = (usage.received_packets, usage.received_bytes)
        if entry.ending is Ending.REFRESHED_TO_ZERO:
            self._told(entry, f"refreshed, {whose}, lifetime=0")
            self._succeeded(entry, Method.REFRESH)
        self._told(entry, f"usage: {whose}, {_counts(up, down)}")
        self._told(entry, f"peer usage: {whose}, {_counts(down, up)}")
        five_tuple = entry.five_tuple
        self._told(
            entry,
            f"closed (2nd stage), user <{_plain(entry.username)}> realm <{self._realm}> origin <>, "
            f"local {five_tuple.server}, remote {five_tuple.client}, "
            f"reason: {_REASONS[entry.ending]}",
        )
        self._told(entry, f"delete: {whose}")

    def _whose(self, entry: Opened | Refreshed | Closed) -> str:
        return f"realm=<{self._realm}>, username=<{_plain(entry.username)}>"

    def _succeeded(self, entry: _OfAllocation, method: Method) -> None:
        user = _plain(entry.username)
        what = f"incoming packet {method.name} processed, success"
        self._told(entry, f"realm <{self._realm}> user <{user}>: {what}")

    def _told(self, entry: _OfAllocation, text: str) -> None:
        self._info(entry.allocation, text)

    def _info(self, session: int, text: str) -> None:
        """An INFO line, as in coturn, also where only a verbose log has it."""
        self._log.info(_session(session, text))


_OfAllocation = Opened | Refreshed | Permitted | ChannelBound | Moving | Moved | Closed


def _session(number: int, text: str) -> str:
    return f"session {number:018}: {text}"


def _counts(received: tuple[int, int], sent: tuple[int, int]) -> str:
    return f"rp={received[0]}, rb={received[1]}, sp={sent[0]}, sb={sent[1]}"


def _plain(name: str) -> str:
    """A name in which nothing reads as the end of a name: coturn refuses such names altogether."""
    return _DELIMITERS.sub(lambda found: f"\\u{ord(found[0]):04x}", name)


def _with_plain_name(write: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda entry: write(entry._replace(username=_plain(entry.username)))


def _method(number: int) -> str:
    return Method(number).name


def _version(address: Address) -> int:
    return 4 if len(address.ip) == 4 else 6
