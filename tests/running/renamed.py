"""`ferryman serve` whose names are looked up in a file, every few hundredths of a second.

The first argument is the file: one address, or nothing for a name that does not resolve. The rest
is the command line.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from ferryman.app import serve
from ferryman.tools.command_line import command_line
from ferryman.wire.address import Address


def main(names: Path) -> None:
    def resolve(name: str) -> tuple[bytes, ...]:
        text = names.read_text().strip()
        if not text:
            raise OSError(f"{name} is not known")
        return (Address.of(text, 0).ip,)

    command_line(functools.partial(serve, resolve=resolve, external_seconds=0.05))()


if __name__ == "__main__":
    path = Path(sys.argv.pop(1))
    main(path)
