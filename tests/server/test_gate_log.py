"""The gate's drops in the log: what is new, once, by reason; over the real datapath's names."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from typing import TextIO

import structlog

from ferryman.datapath._native import Datapath
from ferryman.server.gate_log import GateLog


def _log(stream: TextIO) -> structlog.typing.FilteringBoundLogger:
    wrapped: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream), processors=[structlog.processors.LogfmtRenderer()]
    )
    return wrapped


def test_each_drop_is_told_once_by_its_reason() -> None:
    counters, stream = Counter[str](), StringIO()
    gate_log = GateLog(lambda: counters, _log(stream))
    gate_log.tell()
    counters.update(dropped_too_many_strangers=3, dropped_queue_full=2)
    gate_log.tell()
    gate_log.tell()
    counters.update(dropped_too_many_strangers=4, dropped_no_short_answer=1)
    gate_log.tell()
    lines = stream.getvalue().splitlines()
    assert [line.partition("count=")[2].split()[0] for line in lines] == ["3", "2", "4", "1"]
    assert "unauthorized-ratelimit-rps" in lines[0]
    assert "too many wait" in lines[1]
    assert "four times" in lines[3]


def test_the_datapath_counts_under_these_names() -> None:
    stream = StringIO()
    datapath = Datapath(fingerprint=False)
    GateLog(datapath.counters, _log(stream)).tell()
    datapath.stop()
    assert stream.getvalue() == ""
