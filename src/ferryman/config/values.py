"""Values that a configuration is made of: external addresses, static users, words with a choice.

Secrets are pydantic's secret types, which show nothing of themselves in `repr` and `str`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretBytes, SecretStr


@dataclass(frozen=True, slots=True)
class ExternalAddress:
    """What relayed addresses are known by outside a NAT: raw IPs of one family.

    `private` None: the mapping holds for every relay address of that family.
    """

    public: bytes
    private: bytes | None


@dataclass(frozen=True, slots=True)
class StaticUser:
    """A long-term credential (RFC 8489 §9.2): exactly one of `password` and `key` is there.

    `name` and `password`: after OpaqueString (RFC 8265), where the text has such a form.
    `key`: the 16 bytes of RFC 8489 §9.2.2 (MD5), already made for the default realm.
    """

    name: str
    password: SecretStr | None
    key: SecretBytes | None


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
