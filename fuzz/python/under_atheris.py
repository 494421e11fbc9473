"""One target under Atheris: `python fuzz/python/under_atheris.py TARGET [libFuzzer arguments]`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import atheris  # type: ignore[import-untyped]  # noqa: E402

with atheris.instrument_imports(include=["ferryman"]):
    from targets import TARGETS


def main() -> None:
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
