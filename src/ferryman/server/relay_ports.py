"""Relay sockets bound ahead of need, on ports that nobody can guess (RFC 8656 §7.2).

Hands out `RelayLease`s and takes them back. Knows nothing of clients; binding is a callable.
"""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from random import SystemRandom

from ferryman.engine.five_tuple import Transport
from ferryman.engine.refusals import Refusal
from ferryman.engine.relay import RelayLease, RelayNeed
from ferryman.engine.settings import SECOND
from ferryman.server.relay_addresses import RelayAddresses
from ferryman.wire.address import Address

STOCK = 32
"""UDP sockets kept bound ahead for each relay IP (fewer in a small range). TCP sockets are bound
when they are asked for: they listen at once, and nobody should find a port open for nothing."""

TRIES = 64
"""Ports tried for one lease before it is refused; other programs may sit in the range."""

RELAY_IPS = 256
"""Relay IPs in use at most: without relay-ip, clients choose among the machine's addresses."""

RELAY_IPS_EVER = 4_096
"""And in the life of the process: the datapath remembers where anyone has relayed from."""

IDLE = 60 * SECOND
"""How long a relay IP without allocations is kept ready."""

_TAKEN = -1
_random = SystemRandom()


class PortRange:
    """The free port numbers of one advertised IP; taking one at random costs the same always.

    Six octets a port: the free numbers in any order, and for each number its place among them.
    `taken`: numbers that are not free, in the range or from one that held before.
    """

    def __init__(self, first: int, last: int, taken: Iterable[int] = ()) -> None:
        self._first = first
        self._free = array("H", range(first, last + 1))
        self._place = array("i", range(last + 1 - first))
        self._outside: set[int] = set()
        for port in taken:
            self._take_if_free(port)

    def __len__(self) -> int:
        return len(self._free)

    def __contains__(self, port: int) -> bool:
        at = port - self._first
        return 0 <= at < len(self._place) and self._place[at] != _TAKEN

    def any(self) -> int:
        """A random free port, which stays free; the range must not be empty."""
        return self._free[int.from_bytes(os.urandom(8)) % len(self._free)]

    def take(self, port: int) -> None:
        """Take a free port out."""
        place = self._place[port - self._first]
        last = self._free.pop()
        if last != port:
            self._free[place] = last
            self._place[last - self._first] = place
        self._place[port - self._first] = _TAKEN

    def share(self, other: PortRange) -> None:
        """Take out what is not free in another range of the same bounds."""
        for port in other.taken():
            self._take_if_free(port)

    def taken(self) -> Iterator[int]:
        """Every number that is not free, also of a range that held before."""
        for offset, place in enumerate(self._place):
            if place == _TAKEN:
                yield self._first + offset
        yield from self._outside

    def put_back(self, port: int) -> None:
        if not self._holds(port):
            self._outside.discard(port)
        elif port not in self:
            self._place[port - self._first] = len(self._free)
            self._free.append(port)

    def _take_if_free(self, port: int) -> None:
        if port in self:
            self.take(port)
        elif not self._holds(port):
            self._outside.add(port)

    def _holds(self, port: int) -> bool:
        return 0 <= port - self._first < len(self._place)


class RelayIp:
    """One relay IP and transport: how the IP is advertised, its free ports, and sockets bound
    ahead on it."""

    def __init__(self, ip: bytes, advertised: bytes, transport: Transport, free: PortRange) -> None:
        self.ip = ip
        self.advertised = advertised
        self.transport = transport
        self.stocked = STOCK if transport is Transport.UDP else 0
        self.free = free
        self.stock: dict[int, RelayLease] = {}
        self.leased = 0
        self.asked_at = 0

    def lease(self, port: int) -> RelayLease:
        bound, advertised = Address(self.ip, port), Address(self.advertised, port)
        return RelayLease(bound, advertised, transport=self.transport)


class _Unbindable(Exception):
    """No socket can be bound on this relay IP now, whatever the port."""


class RelayPorts:
    """`bind` and `release` open and close one relay socket; `bind` raises OSError.

    Port numbers are counted by transport and advertised IP: two relay IPs behind one public IP
    share them.
    """

    def __init__(
        self,
        addresses: RelayAddresses,
        first_port: int,
        last_port: int,
        bind: Callable[[Transport, Address], None],
        release: Callable[[Transport, Address], None],
    ) -> None:
        self._addresses = addresses
        self._first = first_port
        self._last = last_port
        self._bind = bind
        self._release = release
        self._ranges: dict[tuple[Transport, bytes], PortRange] = {}
        self._relays: dict[tuple[Transport, bytes], RelayIp] = {}
        self._ever: set[bytes] = set()
        self._taken_elsewhere: list[tuple[RelayIp, int]] = []
        self._trouble = ""

    def lease(self, need: RelayNeed, local: Address, *, now: int) -> RelayLease | Refusal:
        """A bound relay socket for a client that sent to `local`, or why there is none."""
        ip = self._addresses.relay_ip(need.family, local.ip)
        if ip is None:
            return Refusal.UNSUPPORTED_FAMILY
        relay = self._relay(need.transport, ip)
        if relay is None:
            return Refusal.NO_PORT
        relay.asked_at = now
        try:
            lease = self._even(relay, pair=need.pair) if need.even else self._any(relay)
        except _Unbindable:
            lease = None
        if lease is None:
            return Refusal.NO_PORT
        relay.leased += len(_singles(lease))
        return lease

    def give_back(self, lease: RelayLease) -> None:
        """A lease that nobody took, its sockets still bound: back to the stock, or closed."""
        for single in _singles(lease):
            relay = self._relays[single.transport, single.bound.ip]
            relay.leased -= 1
            self._keep(relay, single)

    def closed(self, lease: RelayLease) -> None:
        """The datapath has closed the lease's socket: the number is free again."""
        relay = self._relays[lease.transport, lease.bound.ip]
        relay.leased -= 1
        relay.free.put_back(lease.bound.port)

    def top_up(self, *, now: int) -> None:
        """Bind ahead for every relay IP that is in use; forget those that are not any more."""
        for relay, port in self._taken_elsewhere:
            relay.free.put_back(port)
        self._taken_elsewhere.clear()
        most = (self._last - self._first + 1) // 4
        for relay in list(self._relays.values()):
            if relay.leased == 0 and relay.asked_at + IDLE <= now:
                self._forget(relay)
                continue
            self._stock(relay, min(relay.stocked, most))

    def _stock(self, relay: RelayIp, wanted: int) -> None:
        with suppress(_Unbindable):
            while len(relay.stock) < wanted:
                lease = self._bind_any(relay)
                if lease is None:
                    return
                relay.stock[lease.bound.port] = lease

    def readvertise(self) -> None:
        """What relay IPs are known by has changed. Leases say so from now on; those that are out
        keep what they said. Ranges only ever grow together: two relay IPs behind one public IP
        share their numbers, two that are parted again go on to do so."""
        for relay in self._relays.values():
            self._drop_stock(relay)
        self._ranges.clear()
        for relay in self._relays.values():
            relay.advertised = self._addresses.advertised(relay.ip)
            known_as = relay.transport, relay.advertised
            shared = self._ranges.setdefault(known_as, relay.free)
            if shared is not relay.free:
                self._merge(shared, relay.free)

    def use_range(self, first_port: int, last_port: int) -> None:
        """Lease these ports from now on; leases that are out stay."""
        if (first_port, last_port) == (self._first, self._last):
            return
        self._first, self._last = first_port, last_port
        for relay in self._relays.values():
            self._drop_stock(relay)
        for free in {id(free): free for free in self._ranges.values()}.values():
            self._replace(free, PortRange(first_port, last_port, free.taken()))

    def _merge(self, shared: PortRange, other: PortRange) -> None:
        shared.share(other)
        self._replace(other, shared)

    def _replace(self, old: PortRange, new: PortRange) -> None:
        for relay in self._relays.values():
            if relay.free is old:
                relay.free = new
        for known_as, free in self._ranges.items():
            if free is old:
                self._ranges[known_as] = new

    def take_trouble(self) -> str:
        """Why a socket could not be bound lately (no descriptors, say), told once; or nothing."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def _relay(self, transport: Transport, ip: bytes) -> RelayIp | None:
        found = self._relays.get((transport, ip))
        if found is None and len(self._relays) < RELAY_IPS and self._may_ever_use(ip):
            advertised = self._addresses.advertised(ip)
            free = self._ranges.get((transport, advertised))
            if free is None:
                free = PortRange(self._first, self._last)
                self._ranges[transport, advertised] = free
            found = RelayIp(ip, advertised, transport, free)
            self._relays[transport, ip] = found
        return found

    def _may_ever_use(self, ip: bytes) -> bool:
        if ip not in self._ever and len(self._ever) >= RELAY_IPS_EVER:
            self._trouble = f"{RELAY_IPS_EVER} relay IPs have been used; set relay-ip"
            return False
        self._ever.add(ip)
        return True

    def _drop_stock(self, relay: RelayIp) -> None:
        for single in relay.stock.values():
            self._release(relay.transport, single.bound)
            relay.free.put_back(single.bound.port)
        relay.stock.clear()

    def _forget(self, relay: RelayIp) -> None:
        self._drop_stock(relay)
        del self._relays[relay.transport, relay.ip]
        shared = relay.transport, relay.advertised
        if all((other.transport, other.advertised) != shared for other in self._relays.values()):
            del self._ranges[shared]

    def _keep(self, relay: RelayIp, single: RelayLease) -> None:
        in_range = self._first <= single.bound.port <= self._last
        if in_range and len(relay.stock) < 2 * relay.stocked:
            relay.stock[single.bound.port] = relay.lease(single.bound.port)
        else:
            self._release(relay.transport, single.bound)
            relay.free.put_back(single.bound.port)

    def _any(self, relay: RelayIp) -> RelayLease | None:
        return relay.stock.popitem()[1] if relay.stock else self._bind_any(relay)

    def _bind_any(self, relay: RelayIp) -> RelayLease | None:
        for _ in range(TRIES):
            if not len(relay.free):
                return None
            lease = self._acquire(relay, relay.free.any())
            if lease is not None:
                return lease
        return None

    def _even(self, relay: RelayIp, *, pair: bool) -> RelayLease | None:
        """An even port and, for a pair, the next higher one with it (RFC 8656 §7.2)."""
        for port in self._even_candidates(relay):
            lease = self._acquire(relay, port)
            if lease is None:
                continue
            if not pair:
                return lease
            higher = self._beside(relay, lease)
            if higher is not None:
                return lease._replace(next_higher=higher)
        return None

    def _beside(self, relay: RelayIp, lease: RelayLease) -> RelayLease | None:
        """The port above a lease; where it cannot be had, the lease goes back as well."""
        higher = None
        try:
            higher = self._acquire(relay, lease.bound.port + 1)
        finally:
            if higher is None:
                self._keep(relay, lease)
        return higher

    def _even_candidates(self, relay: RelayIp) -> Iterator[int]:
        """Ports that are bound already come first: they can be had without a descriptor."""
        yield from [port for port in relay.stock if port % 2 == 0]
        if self._last - self._first < 2 * TRIES:
            ports = list(range(self._first + self._first % 2, self._last + 1, 2))
            _random.shuffle(ports)
        else:
            ports = [_random.randrange(self._first, self._last) & ~1 for _ in range(TRIES)]
        yield from (port for port in ports if port >= self._first)

    def _acquire(self, relay: RelayIp, port: int) -> RelayLease | None:
        """This very port: from the stock or bound now; None when another has it. Raises
        `_Unbindable` where another port would fare no better, as without descriptors."""
        lease = relay.stock.pop(port, None)
        if lease is not None or port not in relay.free:
            return lease
        try:
            self._bind(relay.transport, Address(relay.ip, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                relay.free.take(port)
                self._taken_elsewhere.append((relay, port))
                return None
            self._trouble = f"{Address(relay.ip, port)}: {error.strerror}"
            raise _Unbindable from error
        relay.free.take(port)
        return relay.lease(port)


def _singles(lease: RelayLease) -> tuple[RelayLease, ...]:
    if lease.next_higher is None:
        return (lease,)
    return (lease._replace(next_higher=None), lease.next_higher)
