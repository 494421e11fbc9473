"""Where the log goes: what `log-file`, `syslog` and their kin come to together."""

from __future__ import annotations

from pathlib import Path

from ferryman.config.chosen import Chosen
from ferryman.config.notices import Findings
from ferryman.config.values import LogOutput, LogStream

_STREAMS = {
    "": LogStream.STDERR,
    "stderr": LogStream.STDERR,
    "stdout": LogStream.STDOUT,
    "-": LogStream.STDOUT,
}


def log_output(chosen: Chosen, findings: Findings) -> LogOutput:
    """`log-file` has names that are no file, as in coturn: stdout, - and syslog."""
    name = chosen.maybe("log-file", str) or ""
    to_syslog = chosen.one("syslog", bool) or name == "syslog"
    file = None if name in {*_STREAMS, "syslog"} else Path(name).absolute()
    stream = _stream(chosen, name)
    if stream is LogStream.NONE and not (file or to_syslog):
        key = "daemon" if chosen.one("daemon", bool) else "no-stdout-log"
        findings.note(key, "the log goes to syslog", chosen.where(key))
        to_syslog = True
    return LogOutput(
        stream=stream,
        file=file,
        daily=_is_daily(chosen, file),
        facility=chosen.one("syslog-facility", int) if to_syslog else None,
        time=chosen.maybe("new-log-timestamp-format", str),
        since_start=not chosen.one("new-log-timestamp", bool),
    )


def _stream(chosen: Chosen, name: str) -> LogStream:
    """`no-stdout-log` speaks of what comes beside the log file, not of `log-file=stdout`; a daemon
    has neither."""
    if chosen.one("daemon", bool):
        return LogStream.NONE
    stream = _STREAMS.get(name, LogStream.STDERR)
    if stream is LogStream.STDERR and chosen.one("no-stdout-log", bool):
        return LogStream.NONE
    return stream


def _is_daily(chosen: Chosen, file: Path | None) -> bool:
    """A device has no date."""
    is_device = file is not None and file.is_relative_to("/dev")
    return file is not None and not is_device and not chosen.one("simple-log", bool)
