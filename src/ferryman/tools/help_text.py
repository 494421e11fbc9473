"""The keys as help shows them: by theme, those that are honoured, or all of them on request."""

from __future__ import annotations

import click

from ferryman.config.option import Option, Section, State
from ferryman.config.table import in_section


def write_keys(formatter: click.HelpFormatter, *, every: bool) -> None:
    """A section for each theme. `every`: also the keys that are ignored or not built yet."""
    for section in Section:
        rows = [
            (_spelled(option), _explained(option))
            for option in in_section(section)
            if every or option.state is State.HONOURED
        ]
        if rows:
            with formatter.section(section.value):
                formatter.write_dl(rows, col_max=34)


def _spelled(option: Option) -> str:
    short = f"-{option.short}, " if option.short else ""
    if option.is_switch:
        return f"{short}--{option.name}"
    value = f"[={option.kind.word}]" if option.kind.bare is not None else f" {option.kind.word}"
    return f"{short}--{option.name}{value}"


def _explained(option: Option) -> str:
    text = option.meaning
    if option.repeatable:
        text += " (may repeat)"
    if option.default is not None and not option.is_switch:
        text += f"  [{option.default}]"
    if option.state is not State.HONOURED:
        text += f"  -- {option.state.value}: {option.reason}"
    return text
