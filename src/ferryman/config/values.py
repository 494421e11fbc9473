"""Values that a configuration is made of: external addresses, users, TLS, words with a choice.

Secrets are pydantic's secret types, which show nothing of themselves in `repr` and `str`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import SecretBytes, SecretStr

from ferryman.auth.access_token import TokenKey


@dataclass(frozen=True, slots=True)
class ExternalAddress:
    """What relayed addresses are known by outside a NAT: raw IPs of one family.

    `private` None: the mapping holds for every relay address of that family. `name`: what `public`
    was resolved from, and is to be resolved from again; "" for a literal.
    """

    public: bytes
    private: bytes | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class StaticUser:
    """A long-term credential (RFC 8489 §9.2): exactly one of `password` and `key` is there.

    `name` and `password`: after OpaqueString (RFC 8265), where the text has such a form.
    `key`: the 16 bytes of RFC 8489 §9.2.2 (MD5), already made for the default realm.
    """

    name: str
    password: SecretStr | None
    key: SecretBytes | None


class Binding(StrEnum):
    """Whose Binding requests are answered."""

    EVERYONE = "everyone"
    PROVED = "proved"
    NOBODY = "nobody"


class Dtls(StrEnum):
    """Whether DTLS is spoken."""

    OFF = "off"
    WITH_TLS = "with TLS"
    """Nobody spoke of it: it goes with TLS, where the machine can."""
    ASKED = "asked"
    """The operator asked for it: without it the server does not start."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS and DTLS are spoken; the files are read at the start, and again when renewed.

    `port` 0: none beside the listening port. `client_roots`: who must have signed a client's
    certificate; None when it needs none. `cipher_suites`, `groups`: IANA's numbers; () for all.
    `is_own`: the certificate is the server's own (`state_certificate`). `stream`: whether TLS is
    spoken over TCP at all. `tls12`, `dtls12`: whether version 1.2 is.
    """

    port: int
    certificate: Path
    private_key: Path
    password: SecretStr | None
    client_roots: Path | None
    cipher_suites: tuple[int, ...]
    groups: tuple[int, ...]
    tls12: bool
    is_own: bool
    stream: bool = True
    dtls: Dtls = Dtls.WITH_TLS
    dtls12: bool = True


@dataclass(frozen=True, slots=True)
class ThirdPartyKeys:
    """Third-party authorization (RFC 7635): by which name, with which keys, and the SQLite file of
    further ones."""

    server_name: str
    keys: tuple[TokenKey, ...]
    database: Path | None


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    COTURN = "coturn"


class LogStream(StrEnum):
    """Which of the process's own streams has the log."""

    STDERR = "stderr"
    STDOUT = "stdout"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LogOutput:
    """Where the log goes: to any of a stream, a file and syslog.

    `daily`: the file's name gets the date. `facility`: syslog's number of it; None: not to syslog.
    `time`: strftime's form of a line's local time; None: the format's own. `since_start`: seconds
    since the start instead.
    """

    stream: LogStream = LogStream.STDERR
    file: Path | None = None
    daily: bool = False
    facility: int | None = None
    time: str | None = None
    since_start: bool = False


@dataclass(frozen=True, slots=True)
class RunAs:
    """Whom the process is to become once it has opened everything; None: what it is.

    `name`: the user's, whose other groups come along; "" where none was named.
    """

    user: int | None = None
    group: int | None = None
    name: str = ""
