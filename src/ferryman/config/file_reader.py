"""The lines of a turnserver.conf, as coturn reads them, into keys and their text.

`key`, `key=value`, `key value`; quotes around a value; `#` at the start of a line. Beyond coturn:
lines of any length, and a comment or `;` behind a value that cannot hold one. Knows which keys
there are only to know what a value may hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ferryman.config.given import Given
from ferryman.config.notices import Findings
from ferryman.config.settled_file import UnsettledError, settled
from ferryman.config.table import BY_NAME, nearest, shown

_BLANKS = " \t\r\v\f"
_KEY = re.compile(r"([^ \t=]+)([ \t=]*)(.*)", re.DOTALL)

_FOLDERS = (
    ".",
    "turnserver",
    "coturn",
    "etc",
    "etc/turnserver",
    "etc/coturn",
    "../etc",
    "../etc/turnserver",
    "../etc/coturn",
    "/etc",
    "/etc/turnserver",
    "/etc/coturn",
    "/usr/local/etc",
    "/usr/local/etc/turnserver",
    "/usr/local/etc/coturn",
)


def find_file(path: Path) -> Path | None:
    """The file of that name: as given, or in the folders that coturn looks into, in its order."""
    candidates = [path] if path.is_absolute() else [Path(folder) / path for folder in _FOLDERS]
    return next((candidate for candidate in candidates if _is_file(candidate)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):
        return False


def read_file(path: Path, findings: Findings, *, again: bool = False) -> list[Given]:
    """All keys of a file in order; what cannot be read is a problem, not an exception.

    `again`: while the server runs, when half a file or none must not be taken for a whole one.
    """
    found = find_file(path)
    if found is None:
        findings.problem(f"{path}: no such file")
        return []
    try:
        content = settled(found) if again else found.read_bytes()
    except OSError as error:
        findings.problem(f"{found}: cannot be read: {error.strerror}")
        return []
    except UnsettledError as error:
        findings.problem(f"{found}: {error}")
        return []
    return list(read_lines(content, str(found), findings))


def read_lines(content: bytes, file: str, findings: Findings) -> Iterator[Given]:
    """The known keys of a file's content; the others are problems with the nearest right name."""
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        raw = raw.strip(_BLANKS.encode())
        if not raw or raw.startswith(b"#"):
            continue
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            findings.problem("expected UTF-8 text", [Given("", None, file, number)])
            continue
        given = _read_line(line, file, number)
        if given.key in BY_NAME:
            yield _without_tail(given, findings)
        else:
            report_unknown(given, findings)


def report_unknown(given: Given, findings: Findings) -> None:
    meant = nearest(given.key)
    # A word that stands alone and resembles no key may be a secret that lost its key.
    alone = given.line > 0 and given.text is None and meant is None
    name = "(not shown)" if alone else shown(given.key)
    if name in BY_NAME:
        text = f"expected = or a blank behind {name}"
    else:
        text = f"unknown key {name}" + (f", did you mean {meant}?" if meant else "")
    findings.problem(text, [given])
    findings.doubtful.add(name if name in BY_NAME else meant or "")


def _read_line(line: str, file: str, number: int) -> Given:
    match = _KEY.fullmatch(line)
    if match is None:
        return Given(line, None, file, number)
    key, between, text = match.groups()
    if not between and key.endswith(";"):
        return Given(key[:-1], ";", file, number)
    return Given(key, text if between else None, file, number)


def _without_tail(given: Given, findings: Findings) -> Given:
    """Take quotes off, and what stands behind a value: a comment or `;`, where it cannot be part.

    Where any text is a value, coturn takes it as it stands, so the operator is told.
    """
    if given.text is None:
        return given
    text, tail = _unquoted(given.text)
    if not tail and BY_NAME[given.key].kind.free:
        if text.endswith(";") or re.search(r"(^|\s)#", text):
            findings.warn(given.key, "the ; or # is taken as part of the value", [given])
    elif not tail:
        text, tail = _split_tail(text)
    if tail.endswith(";"):
        findings.note(given.key, "the ; at the end of the line is not needed", [given])
    return replace(given, text=text)


def _unquoted(text: str) -> tuple[str, str]:
    """Value and tail of a text that may begin with a quote; without a closing one, as coturn."""
    if not text.startswith('"'):
        return text, ""
    inside, quote, tail = text[1:].rpartition('"')
    if quote and (not tail.strip(_BLANKS) or re.fullmatch(r"\s*;\s*|\s+#.*", tail)):
        return inside, tail.strip(_BLANKS)
    return text[1:], ""


def _split_tail(text: str) -> tuple[str, str]:
    value = re.split(r"(?:^|\s+)#", text, maxsplit=1)[0].rstrip(_BLANKS)
    if value.endswith(";"):
        return value.rstrip(";" + _BLANKS), ";"
    return value, ""
