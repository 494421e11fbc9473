"""Long flags by their beginnings, as getopt_long takes them from coturn's command lines.

A beginning of several keys is a mistake, unless it is a key itself. Among several, coturn's own
keys come first: what was unambiguous with coturn stays so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import click

from ferryman.config.option import Section
from ferryman.config.table import BY_NAME

OWN = frozenset(
    {
        "drain-timeout",
        "external-ip-stun",
        "log-format",
        "max-channels",
        "max-permissions",
        "oauth-key",
        "peer-policy",
        "source-connections",
        "source-quota",
        "state-dir",
        "tcp-proxy-from",
        "total-connections",
        "xdp",
        "xdp-mode",
    }
)
"""Keys that coturn does not have."""

_MORE_FLAGS = ("greeting", "help-all")


def whole_flags(arguments: Iterable[str]) -> list[str]:
    """The same command line with every long flag in full; raises UsageError for a beginning of
    several."""
    return list(_written_out(iter(arguments)))


def _written_out(rest: Iterator[str]) -> Iterator[str]:
    for argument in rest:
        if argument == "--":
            yield argument
            break
        takes_next = _short_takes_next(argument)
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            name = _whole(name)
            argument = f"--{name}{equals}{value}"
            takes_next = not equals and name in BY_NAME and BY_NAME[name].kind.bare is None
        yield argument
        if takes_next:
            # Whatever it looks like, it is a value.
            yield from islice(rest, 1)
    yield from rest


def _whole(beginning: str) -> str:
    """The key that a flag means; what means none is left to whoever reads the flags."""
    if not beginning or beginning in BY_NAME or beginning in _MORE_FLAGS:
        return beginning
    candidates = [name for name in (*BY_NAME, *_MORE_FLAGS) if name.startswith(beginning)]
    found = [name for name in candidates if _is_coturns(name)] or candidates
    if len(found) > 1:
        names = ", ".join(f"--{name}" for name in sorted(found))
        raise click.UsageError(f"--{beginning} may be any of {names}")
    return found[0] if found else beginning


def _is_coturns(name: str) -> bool:
    """Whether coturn has this key, and not only had it once."""
    option = BY_NAME.get(name)
    return option is not None and name not in OWN and option.section is not Section.REMOVED


def _short_takes_next(argument: str) -> bool:
    """Whether short flags end with one that takes the next argument for its value."""
    if not argument.startswith("-") or argument.startswith("--"):
        return False
    for at, letter in enumerate(argument[1:], 2):
        if letter == "c" or letter in _VALUED:
            return at == len(argument)
    return False


_VALUED = {option.short for option in BY_NAME.values() if option.kind.bare is None} - {""}
