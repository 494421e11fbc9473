"""When the gate answers strangers in spite of a verbose log, and until when."""

from __future__ import annotations

import structlog
from structlog.testing import LogCapture

from ferryman.server.siege import CALM_SECONDS, FEW, MANY, Siege


class Numbers:
    def __init__(self) -> None:
        self.told = self.answered = 0
        self.verdicts: list[bool] = []
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture])
        self.siege = Siege(lambda: self.told, lambda: self.answered, self.verdicts.append, log)

    def second(self, *, told: int = 0, answered: int = 0) -> None:
        self.told += told
        self.answered += answered
        self.siege.look()


def test_a_few_strangers_are_no_crowd() -> None:
    numbers = Numbers()
    for _ in range(20):
        numbers.second(told=MANY, answered=10 * MANY)
    assert numbers.verdicts == []


def test_a_crowd_is_one_until_it_has_been_quiet_for_a_while() -> None:
    numbers = Numbers()
    numbers.second(told=MANY + 1)
    assert numbers.verdicts == [True]
    for _ in range(CALM_SECONDS - 1):
        numbers.second(answered=FEW - 1)
    numbers.second(answered=FEW)
    for _ in range(CALM_SECONDS - 1):
        numbers.second()
    assert numbers.verdicts == [True]
    numbers.second()
    assert numbers.verdicts == [True, False]
    numbers.second(told=MANY + 1)
    assert numbers.verdicts == [True, False, True]
    said = [entry["event"] for entry in numbers.capture.entries]
    crowd = "strangers come in crowds, their challenges are not logged"
    assert said == [crowd, "challenges are logged again", crowd]
