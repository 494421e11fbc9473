"""What becomes of the process while a server starts, serves and ends: pid file, user, terminal."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ferryman.app.background import Background
from ferryman.app.pid_file import PidFile
from ferryman.app.privileges import become
from ferryman.config import Configuration
from ferryman.server.log import SteadyStream


class Standing:
    """`background` None: the server stays in the foreground."""

    def __init__(
        self,
        configuration: Configuration,
        background: Background | None,
        stream: SteadyStream,
        log: FilteringBoundLogger,
    ) -> None:
        self._run_as = configuration.run_as
        self._background = background
        self._stream = stream
        self._log = log
        self._pid_file = PidFile(configuration.pid_file, log)

    def opened(self) -> None:
        """All ports are open and all files are read, nothing is served yet. Raises PrivilegeError.
        The pid file comes first, for its folder is often root's."""
        self._pid_file.write()
        become(self._run_as, self._stream, self._log)

    def serving(self) -> None:
        if self._background is not None:
            self._background.ready()

    def ended(self) -> None:
        self._pid_file.remove()
