"""Becoming another user (`proc-user`, `proc-group`) once everything that needs root is open."""

from __future__ import annotations

import os

from structlog.typing import FilteringBoundLogger

from ferryman.config.values import RunAs
from ferryman.server.log import SteadyStream


class PrivilegeError(Exception):
    """The process may not become that user; the text says which and why."""


def become(run_as: RunAs, stream: SteadyStream, log: FilteringBoundLogger) -> None:
    """Take the user's own groups and no others, and hand over the log file. Raises PrivilegeError.

    There is no way back: what is opened from then on, renewed certificates and new log files
    among it, is opened as that user.
    """
    user = os.geteuid() if run_as.user is None else run_as.user
    group = os.getegid() if run_as.group is None else run_as.group
    if (user, group) == (os.geteuid(), os.getegid()):
        return
    stream.give_to(user, group)
    try:
        if os.geteuid() == 0:
            os.setgroups(os.getgrouplist(run_as.name, group) if run_as.name else [group])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except OSError as error:
        raise PrivilegeError(
            f"cannot become user {user}, group {group}: {error.strerror}"
        ) from None
    log.info("running as another user", user=user, group=group)
