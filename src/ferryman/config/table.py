"""Every key that Ferryman knows, one row each, and the nearest right name for one it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from ferryman.config import service_options, traffic_options
from ferryman.config.option import Option, Section

OPTIONS: tuple[Option, ...] = (
    *traffic_options.LISTENER_OPTIONS,
    *traffic_options.RELAY_OPTIONS,
    *service_options.CREDENTIAL_OPTIONS,
    *service_options.PEER_OPTIONS,
    *traffic_options.LIMIT_OPTIONS,
    *traffic_options.PROTOCOL_OPTIONS,
    *service_options.LOG_OPTIONS,
    *service_options.SERVICE_OPTIONS,
    *traffic_options.TLS_OPTIONS,
    *service_options.DATABASE_OPTIONS,
    *service_options.ADMINISTRATION_OPTIONS,
    *service_options.REMOVED_OPTIONS,
)

BY_NAME = {option.name: option for option in OPTIONS}

# Keys that never were, but stand in many files.
_MEANT = {
    "listen-port": "listening-port",
}


def in_section(section: Section) -> Iterator[Option]:
    return (option for option in OPTIONS if option.section is section)


def nearest(name: str) -> str | None:
    """The key that was probably meant, None when nothing comes near."""
    plain = name.lstrip("-").replace("_", "-").lower()
    if plain in _MEANT:
        return _MEANT[plain]
    known = {option.name.replace("_", "-").lower(): option.name for option in OPTIONS}
    found = get_close_matches(plain, known, n=1, cutoff=0.7)
    return known[found[0]] if found else None


def shown(name: str) -> str:
    """An unknown key as an error may show it: a slip of the pen can put a secret into it."""
    plain = re.match("[A-Za-z0-9_-]{0,41}", name)
    return plain[0] if plain and 0 < len(plain[0]) <= 40 else "(not shown)"
