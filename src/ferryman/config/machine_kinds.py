"""Kinds of value that name something of this machine: syslog's facility, user, group, device."""

from __future__ import annotations

import grp
import pwd
import re
import socket

from ferryman.config.kinds import Kind
from ferryman.config.names import Resolve
from ferryman.config.problems import BadValueError

_FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7,
    "uucp": 8, "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18,
    "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
"""Syslog's facilities and their numbers (RFC 5424 §6.2.1)."""


def _facility(text: str, resolve: Resolve) -> int:
    name = text.lower().removeprefix("log_")
    if name not in _FACILITIES:
        raise BadValueError("expected a facility of syslog, such as LOG_DAEMON or LOG_LOCAL0")
    return _FACILITIES[name]


FACILITY = Kind("FACILITY", _facility)


_NUMBER = re.compile("[0-9]{1,10}")


def _process_user(text: str, resolve: Resolve) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(text)) if _NUMBER.fullmatch(text) else pwd.getpwnam(text)
    except (KeyError, OverflowError):
        raise BadValueError("expected a user of this machine") from None


def _process_group(text: str, resolve: Resolve) -> grp.struct_group:
    try:
        return grp.getgrgid(int(text)) if _NUMBER.fullmatch(text) else grp.getgrnam(text)
    except (KeyError, OverflowError):
        raise BadValueError("expected a group of this machine") from None


PROCESS_USER = Kind("USER", _process_user)
PROCESS_GROUP = Kind("GROUP", _process_group)


def _device(text: str, resolve: Resolve) -> str:
    try:
        socket.if_nametoindex(text)
    except (OSError, ValueError):
        raise BadValueError("expected a network device of this machine") from None
    return text


DEVICE = Kind("DEVICE", _device)
