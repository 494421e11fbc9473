"""The table of all keys in docs/configuration.md, printed from the rows themselves.

`python -m ferryman.config.page docs/configuration.md` writes it between its two marks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ferryman.config.option import Option, Section, State
from ferryman.config.table import in_section

BEGIN = "<!-- keys: written by python -m ferryman.config.page -->"
END = "<!-- end of keys -->"


def with_table(page: str) -> str:
    """The page with a current table between its marks; raises ValueError when they are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no marks for the table")
    return "".join((head, BEGIN, "\n\n", "\n".join(_lines()), "\n", END, tail))


def _lines() -> Iterator[str]:
    for section in Section:
        yield f"### {section.value}\n"
        yield "| key | value | default | meaning | state |"
        yield "|---|---|---|---|---|"
        yield from (_row(option) for option in in_section(section))
        yield ""


def _row(option: Option) -> str:
    short = f", `-{option.short}`" if option.short else ""
    default = f"`{option.default}`" if option.default is not None else ""
    meaning = option.meaning + ("; may repeat" if option.repeatable else "")
    state = option.state.value
    if option.state is not State.HONOURED:
        state += f": {option.reason}"
    cells = (f"`{option.name}`{short}", f"`{option.kind.word}`", default, meaning, state)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m ferryman.config.page docs/configuration.md", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
