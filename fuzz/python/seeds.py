"""Writes the messages and streams of `vectors/` to a folder, one a file: where fuzzing begins."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "vectors").glob("*.json")):
        rows = json.loads(file.read_text(encoding="utf-8"))
        for number, row in enumerate(rows if isinstance(rows, list) else ()):
            if "hex" in row:
                octets = bytes.fromhex(row["hex"])
                (folder / f"{file.stem}-{number}").write_bytes(octets)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
