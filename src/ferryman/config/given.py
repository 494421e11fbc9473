"""A key and its value as somebody wrote them, before anyone has judged them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Given:
    """`text` None: the key stood alone. `line` 0: it came as a flag. The text may be a secret."""

    key: str
    text: str | None = field(repr=False)
    file: str = ""
    line: int = 0
