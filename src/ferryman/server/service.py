"""A running server: listeners open, the pump turning, until a signal ends it.

Wires asyncio to the datapath's eventfd. Knows no protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ferryman.datapath import door
from ferryman.server.leaving import Leaving
from ferryman.server.pump import Pump
from ferryman.server.service_manager import ServiceManager

TICK_SECONDS = 1.0
OWN_ADDRESSES_SECONDS = 10.0
STOP_SECONDS = 1.0


class Datapath(door.Native, Protocol):
    """What the service needs of the native datapath (see `_native.pyi`)."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def fileno(self) -> int: ...


class Service:
    """Runs the pump on the event loop until `leaving` says that it is over; `on_signal` says what
    each signal does.

    `chores` run besides, each every so many seconds, and `watch`, which must not return before it
    is cancelled.
    """

    def __init__(
        self,
        datapath: Datapath,
        pump: Pump,
        refresh_own_addresses: Callable[[], None],
        leaving: Leaving,
        manager: ServiceManager,
        on_signal: Mapping[signal.Signals, Callable[[], None]],
        log: FilteringBoundLogger,
        watch: Callable[[], Coroutine[None, None, None]] | None = None,
        chores: Sequence[tuple[float, Callable[[], None]]] = (),
    ) -> None:
        self._datapath = datapath
        self._pump = pump
        self._refresh_own_addresses = refresh_own_addresses
        self._leaving = leaving
        self._manager = manager
        self._on_signal = dict(on_signal)
        self._log = log
        self._watch = watch
        self._chores = tuple(chores)

    async def run(self, ready: Callable[[], None]) -> None:
        """Start, call `ready` once packets flow, and return when all is closed."""
        loop = asyncio.get_running_loop()
        for number, act in self._on_signal.items():
            loop.add_signal_handler(number, act)
        self._datapath.start()
        loop.add_reader(self._datapath.fileno(), self._pump.run_batch)
        chores = [asyncio.create_task(self._every(*chore)) for chore in self._every_so_often()]
        if self._watch is not None:
            chores.append(asyncio.create_task(self._watch()))
        ready()
        self._manager.ready()
        # A chore ends only by failing: then the server ends too, loudly, rather than half of it.
        stopping = asyncio.create_task(self._leaving.wait())
        done, _ = await asyncio.wait({stopping, *chores}, return_when=asyncio.FIRST_COMPLETED)
        loop.remove_reader(self._datapath.fileno())
        for chore in chores:
            chore.cancel()
        self._close()
        for task in done:
            task.result()

    def _every_so_often(self) -> Iterator[tuple[float, Callable[[], None]]]:
        yield TICK_SECONDS, self._pump.tick
        yield TICK_SECONDS, lambda: self._leaving.look(now=time.monotonic_ns())
        yield OWN_ADDRESSES_SECONDS, self._refresh_own_addresses
        patience = self._manager.watchdog_seconds
        if patience is not None:
            yield patience / 2, self._ask_worker
        yield from self._chores

    def _ask_worker(self) -> None:
        self._pump.ask_worker(self._manager.alive)

    async def _every(self, seconds: float, chore: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            chore()

    def _close(self) -> None:
        """Close every allocation, wait a moment for what each carried, then the sockets."""
        self._manager.stopping()
        self._pump.close_all()
        self._log.info("stopping")
        until = time.monotonic() + STOP_SECONDS
        while self._pump.closing and time.monotonic() < until:
            if not self._pump.run_batch():
                time.sleep(0.005)
        with contextlib.suppress(OSError):
            self._datapath.stop()
        self._log.info("stopped")
