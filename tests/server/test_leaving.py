"""How long a server drains, on a clock that is turned by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ferryman.server.leaving import Leaving, Patience
from ferryman.server.log import Format, make_log
from tests.engine.desk import Desk


@dataclass
class Server:
    """One that drains as `patience` says, with so many clients; the desk has the clock."""

    patience: Patience
    allocations: int = 1
    desk: Desk = field(default_factory=Desk)
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clients = [self.desk.client(40_000 + number) for number in range(self.allocations)]
        for client in self.clients:
            assert client.allocate().code == 0
        log = make_log(Format.TEXT)
        self.leaving = Leaving(self.desk.state, lambda: self.patience, self.told.append, log)

    def drain(self) -> None:
        self.leaving.drain(now=self.desk.now)

    def terminate(self) -> None:
        self.leaving.terminate(now=self.desk.now)

    def ends_after(self, seconds: float = 0) -> bool:
        self.desk.pass_seconds(seconds)
        self.leaving.look(now=self.desk.now)
        return self.leaving.is_over

    def hang_up(self) -> None:
        assert self.clients.pop().refresh(0).code == 0


def test_a_server_that_nobody_asked_does_not_end() -> None:
    assert not Server(Patience(1, 10)).ends_after(1000)


def test_draining_ends_with_the_last_allocation() -> None:
    server = Server(Patience(), allocations=2)
    server.drain()
    assert not server.ends_after(500)
    server.hang_up()
    assert not server.ends_after()
    server.hang_up()
    assert server.ends_after()


def test_draining_ends_at_its_deadline() -> None:
    server = Server(Patience(30))
    server.drain()
    assert not server.ends_after(29)
    assert server.ends_after(1)


def test_draining_ends_when_few_enough_are_left() -> None:
    server = Server(Patience(0, 2), allocations=3)
    server.drain()
    assert not server.ends_after()
    server.hang_up()
    assert server.ends_after()


def test_a_server_without_clients_ends_at_once() -> None:
    server = Server(Patience(30), allocations=0)
    server.drain()
    assert server.ends_after()


def test_draining_twice_moves_no_deadline() -> None:
    server = Server(Patience(30))
    server.drain()
    server.desk.pass_seconds(29)
    server.drain()
    assert server.ends_after(1)
    assert server.told == [30]


def test_being_terminated_without_a_deadline_is_the_end() -> None:
    server = Server(Patience(0))
    server.terminate()
    assert server.ends_after()


def test_being_terminated_with_a_deadline_is_draining_and_twice_is_the_end() -> None:
    server = Server(Patience(30))
    server.terminate()
    assert server.desk.state.draining
    assert not server.ends_after(1)
    server.terminate()
    assert server.ends_after()


@pytest.mark.parametrize(("before", "left"), [(Patience(30), 10), (Patience(0), 30)])
def test_being_terminated_while_draining_goes_on_and_says_how_long(
    before: Patience, left: int
) -> None:
    server = Server(before)
    server.drain()
    server.patience = Patience(30)
    server.desk.pass_seconds(20)
    server.terminate()
    assert server.told == [before.seconds, left]
    assert not server.ends_after(left - 1)
    assert server.ends_after(1)


def test_the_deadline_is_the_one_that_held_when_it_began() -> None:
    server = Server(Patience(30))
    server.drain()
    server.patience = Patience(300)
    assert server.ends_after(30)
