"""Opens the places that the log goes to, as they are configured."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TextIO

from structlog.typing import FilteringBoundLogger

from ferryman.config import Configuration, Notice, Severity
from ferryman.config.values import LogFormat, LogOutput, LogStream
from ferryman.engine.state import State
from ferryman.server.coturn_log import CoturnJournalLog, Lifetimes
from ferryman.server.journal_log import JournalLog
from ferryman.server.log import Format, SteadyStream, make_log
from ferryman.server.log_line import Threshold
from ferryman.server.log_time import LocalTime, SecondsSinceStart
from ferryman.server.sinks import LOG_DAEMON, SYSLOG_SOCKET, LogFile, Sink, Syslog


class Opened(NamedTuple):
    """`complaints`: a line for each place that cannot be had. `on_stderr`: whether stderr has what
    is logged."""

    stream: SteadyStream
    complaints: list[str]
    on_stderr: bool


class OpenLog(NamedTuple):
    """A log, where its lines go, how much it says, and whether stderr has it."""

    log: FilteringBoundLogger
    stream: SteadyStream
    threshold: Threshold
    on_stderr: bool


def open_log(
    configuration: Configuration, program: str, *, in_background: bool
) -> tuple[OpenLog, list[str]]:
    """The log as it is configured; the rest as in `open_log_output`."""
    stream, complaints, on_stderr = open_log_output(
        configuration.log_output, program, in_background=in_background
    )
    threshold = Threshold(threshold_of(configuration))
    style = Format(configuration.log_format.value)
    log = make_log(style, threshold, stream, clock_of(configuration.log_output))
    return OpenLog(log, stream, threshold, on_stderr), complaints


def open_log_output(
    output: LogOutput, program: str, *, in_background: bool = False, syslog: Path = SYSLOG_SOCKET
) -> Opened:
    """What is written to. When none of it can be had, stderr steps in, for a server in the
    background syslog. `program`: the name that syslog knows this process by."""
    complaints: list[str] = []
    sinks: list[Sink] = []

    def attempt(what: str, open_sink: Callable[[], Sink]) -> None:
        try:
            sinks.append(open_sink())
        except OSError as error:
            complaints.append(f"{what} cannot be opened: {error.strerror}")

    file, facility = output.file, output.facility
    if file is not None:
        attempt(f"log-file: {file}", lambda: LogFile(file, daily=output.daily))
    if facility is not None:
        attempt("syslog", lambda: Syslog(facility, program, syslog))
    stream = output.stream
    if not sinks and stream is LogStream.NONE:
        if in_background and facility is None:
            attempt("syslog", lambda: Syslog(LOG_DAEMON, program, syslog))
        if not sinks:
            stream = LogStream.STDERR
        instead = "there is no log" if in_background else "the log goes to stderr"
        instead = "the log goes to syslog" if sinks else instead
        complaints = [f"{complaint}; {instead}" for complaint in complaints]
    is_on_stderr = stream is LogStream.STDERR
    return Opened(SteadyStream(_standard(stream), sinks), complaints, is_on_stderr)


def _standard(stream: LogStream) -> TextIO | None:
    """A stream of its own: sys.stderr makes a system call of every line."""
    if stream is LogStream.NONE:
        return None
    standard = sys.stdout if stream is LogStream.STDOUT else sys.stderr
    return os.fdopen(standard.fileno(), "w", closefd=False)


def clock_of(output: LogOutput) -> Callable[[], str] | None:
    """The time of a line; None: ISO 8601 in UTC."""
    if output.since_start:
        return SecondsSinceStart()
    return LocalTime(output.time) if output.time is not None else None


def threshold_of(configuration: Configuration) -> int:
    """The lowest level that is logged, as `logging` numbers it."""
    return logging.getLevelNamesMapping()[configuration.log_level.value.upper()]


def tell_notices(notices: Iterable[Notice], log: FilteringBoundLogger) -> None:
    """What a configuration does not do as it says, or should be known of it."""
    for notice in notices:
        say = log.warning if notice.severity is Severity.WARNING else log.info
        say(str(notice))


def journal_log(configuration: Configuration, state: State, opened: OpenLog) -> JournalLog:
    """The journal's writer, in the words that were asked for."""
    log, stream = opened.log, opened.stream
    if configuration.log_format is not LogFormat.COTURN:
        return JournalLog(log, stream)

    def lifetimes() -> Lifetimes:
        return Lifetimes(state.settings.permission_lifetime, state.settings.channel_lifetime)

    return CoturnJournalLog(log, stream, configuration.realm, lifetimes)
