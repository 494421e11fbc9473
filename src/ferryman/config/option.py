"""One row of the option table: a key of turnserver.conf, what it takes and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from ferryman.config.kinds import SWITCH, Kind


class Section(Enum):
    """Themes in which help and the documentation present the keys, in this order."""

    LISTENERS = "Listeners"
    RELAY = "Relayed addresses"
    CREDENTIALS = "Who may relay"
    PEERS = "Where it may relay to"
    LIMITS = "Limits and lifetimes"
    PROTOCOL = "Protocol"
    LOG = "Log"
    SERVICE = "Process and state"
    TLS = "TLS and DTLS"
    DATABASES = "Databases"
    ADMINISTRATION = "Administration and metrics"
    REMOVED = "Gone from coturn, still in guides"


class State(Enum):
    """What Ferryman does with a key that it knows."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    NOT_BUILT = "not built yet"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Option:
    """A key: its name in the file and as a flag.

    `default`: in the field's own language, None when there is none. `reason`: why the key is
    ignored or declined, or what happens instead while it is not built. `quiet`: values that ask for
    nothing, so that no line is said about them. `secret`: its value is never shown.
    """

    name: str
    kind: Kind
    section: Section
    meaning: str
    default: str | None = None
    short: str = ""
    repeatable: bool = False
    secret: bool = False
    state: State = State.HONOURED
    reason: str = ""
    quiet: tuple[object, ...] = (False, 0, "")

    @property
    def is_switch(self) -> bool:
        return self.kind is SWITCH


def not_built(
    name: str,
    kind: Kind,
    section: Section,
    meaning: str,
    reason: str,
    *,
    short: str = "",
    repeatable: bool = False,
    secret: bool = False,
    quiet: tuple[object, ...] = (False, 0, ""),
) -> Option:
    """A row for a key of coturn's that Ferryman reads, checks and does not act upon yet."""
    return Option(
        name,
        kind,
        section,
        meaning,
        short=short,
        repeatable=repeatable,
        secret=secret,
        state=State.NOT_BUILT,
        reason=reason,
        quiet=quiet,
    )


def declined(
    name: str,
    kind: Kind,
    section: Section,
    meaning: str,
    reason: str,
    *,
    secret: bool = False,
    quiet: tuple[object, ...] = (False, 0, ""),
) -> Option:
    """A row for a key that is known and will not be acted upon: it is unsafe, or was never one."""
    row = not_built(name, kind, section, meaning, reason, secret=secret, quiet=quiet)
    return replace(row, state=State.DECLINED)


ALREADY = "nothing to do, it is always so"
WITHOUT_EFFECT = "gone from coturn as well, without effect"


def ignored(
    name: str,
    kind: Kind,
    section: Section,
    meaning: str,
    reason: str = ALREADY,
    *,
    quiet: tuple[object, ...] = (False, 0, ""),
) -> Option:
    """A row for a key that asks for what is so anyway, or for what has no meaning here."""
    return Option(name, kind, section, meaning, state=State.IGNORED, reason=reason, quiet=quiet)
