"""Reads what a test wrote down: a file's text, flags, or both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ferryman.config import Configuration, ConfigurationError, load
from ferryman.config.names import Resolve
from ferryman.config.values import Tls

CREDENTIALS = "user=someone:enough-for-a-start\n"


def tls_of_files(certificate: Path, key: Path) -> Tls:
    """TLS with this certificate, and all that it can speak."""
    return Tls(5349, certificate, key, None, None, (), (), tls12=True, is_own=False)


@dataclass(frozen=True)
class Reading:
    path: Path
    resolve: Resolve

    def file(self, text: str | bytes, *flags: tuple[str, str | None]) -> Configuration:
        """From a file with this text and from these flags."""
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(self.path, flags, resolve=self.resolve)

    def lines(self, *lines: str) -> Configuration:
        """From a file with these lines and credentials."""
        return self.file(CREDENTIALS + "\n".join(lines))

    def flags(self, *flags: tuple[str, str | None]) -> Configuration:
        return load(None, flags, resolve=self.resolve)

    def problems(self, text: str | bytes, *flags: tuple[str, str | None]) -> list[str]:
        """What is wrong with this file and these flags, without the file's folder."""
        try:
            self.file(text, *flags)
        except ConfigurationError as error:
            return [line.replace(str(self.path), self.path.name) for line in error.problems]
        return []

    def notices(self, configuration: Configuration) -> list[str]:
        """The lines that are said, without the file's folder."""
        lines = (f"{notice.severity.value}: {notice}" for notice in configuration.notices)
        return [line.replace(str(self.path), self.path.name) for line in lines]
