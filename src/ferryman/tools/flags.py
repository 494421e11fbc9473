"""Every key of the configuration as a flag, in coturn's spelling, long and short.

A switch may stand alone or carry a value (`--verbose`, `--verbose=no`); so may a few numbers
(`--stale-nonce`). Values are not judged here: the configuration reads file and flags alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

from ferryman.config.option import Option
from ferryman.config.table import OPTIONS

_LONG = "key_"
_SHORT = "short_"

_FLAGS_ALONE = ("version", "help")
"""Keys that mean something as flags only, where they end the program."""


def flag_parameters() -> list[click.Parameter]:
    """click's options for all keys; what they were given comes back through `given`."""
    keys = (option for option in OPTIONS if option.name not in _FLAGS_ALONE)
    return [parameter for option in keys for parameter in _parameters(option)]


def _parameters(option: Option) -> Iterable[click.Option]:
    names = [f"--{option.name}", _identifier(_LONG, option)]
    short = [f"-{option.short}"] if option.short else []
    text = click.UNPROCESSED
    if option.kind.bare is None:
        yield click.Option(names + short, multiple=True, type=text, hidden=True)
        return
    yield click.Option(names, multiple=True, type=text, is_flag=False, flag_value="", hidden=True)
    if short:
        # Short switches take no value, so that several can share a dash (`-vf`).
        yield click.Option([*short, _identifier(_SHORT, option)], count=True, hidden=True)


def _identifier(prefix: str, option: Option) -> str:
    return prefix + option.name.replace("-", "_")


def given(parameters: Mapping[str, object]) -> list[tuple[str, str | None]]:
    """Key and text of every flag that was given, as the configuration wants them."""
    flags: list[tuple[str, str | None]] = []
    for option in OPTIONS:
        if parameters.get(_identifier(_SHORT, option)):
            flags.append((option.name, None))
        texts = parameters.get(_identifier(_LONG, option))
        if isinstance(texts, tuple):
            flags += [(option.name, str(text)) for text in texts]
    return flags
