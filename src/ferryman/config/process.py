"""What `pidfile`, `proc-user` and `proc-group` ask of the process."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

from ferryman.config.chosen import Chosen
from ferryman.config.values import RunAs

DAEMON_PID_FILE = Path("/var/run/turnserver.pid")
"""coturn's own."""


def pid_file(chosen: Chosen) -> Path | None:
    """An empty name is none, also for a daemon."""
    given = chosen.maybe("pidfile", str)
    if given is None:
        return DAEMON_PID_FILE if chosen.one("daemon", bool) else None
    return Path(given).absolute() if given else None


def run_as(chosen: Chosen) -> RunAs:
    """A user without a group has that of its own."""
    user = chosen.maybe("proc-user", pwd.struct_passwd)
    group = chosen.maybe("proc-group", grp.struct_group)
    if user is None:
        return RunAs(group=group.gr_gid if group else None)
    return RunAs(user.pw_uid, group.gr_gid if group else user.pw_gid, user.pw_name)
