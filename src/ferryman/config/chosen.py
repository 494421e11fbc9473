"""What holds for each key once flags have won over the file, and each value has been read.

A flag replaces all that the file says about its key, also where a key may repeat; of a key that
may not repeat, the last one counts, as in coturn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from ferryman.config.given import Given
from ferryman.config.names import Resolve
from ferryman.config.notices import Findings
from ferryman.config.option import Option
from ferryman.config.problems import BadValueError
from ferryman.config.table import BY_NAME, OPTIONS

T = TypeVar("T")

_PLACEHOLDER = re.compile(r"<[^<>]+>|\{[A-Za-z0-9_]+\}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Chosen:
    """The value of every key, with the place where it was written."""

    def __init__(self, entries: list[tuple[Option, Given, object]], resolve: Resolve) -> None:
        self.entries = entries
        self._by_name: dict[str, list[tuple[Given, object]]] = {}
        for option, given, value in entries:
            self._by_name.setdefault(option.name, []).append((given, value))
        self._resolve = resolve

    def is_given(self, name: str) -> bool:
        return name in self._by_name

    def where(self, name: str) -> list[Given]:
        return [given for given, _ in self._by_name.get(name, [])]

    def one(self, name: str, kind: type[T]) -> T:
        """The value of a key that has one or a default."""
        value = self.maybe(name, kind)
        if value is None:
            raise LookupError(f"{name} has neither a value nor a default")
        return value

    def maybe(self, name: str, kind: type[T]) -> T | None:
        """The value of a key, else its default, else None."""
        option = BY_NAME[name]
        if name in self._by_name:
            return _checked(self._by_name[name][-1][1], kind)
        if option.default is None:
            return None
        return _checked(option.kind.read(option.default, self._resolve), kind)

    def every(self, name: str, kind: type[T]) -> list[tuple[Given, T]]:
        """All values of a key that may repeat, in order."""
        return [(given, _checked(value, kind)) for given, value in self._by_name.get(name, [])]


def _checked(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, the table has {type(value).__name__}")
    return value


def choose(
    from_file: Iterable[Given], flags: Iterable[Given], findings: Findings, resolve: Resolve
) -> Chosen:
    """Let flags win, then read every value that counts; bad ones are problems and left out."""
    by_key: dict[str, list[Given]] = {}
    for given in from_file:
        by_key.setdefault(given.key, []).append(given)
    flagged: dict[str, list[Given]] = {}
    for given in flags:
        flagged.setdefault(given.key, []).append(given)
    by_key.update(flagged)
    entries: list[tuple[Option, Given, object]] = []
    for option in OPTIONS:
        for given in _that_count(option, by_key.get(option.name, []), findings):
            try:
                entries.append((option, given, read_value(option, given.text, resolve)))
            except BadValueError as error:
                text = _complaint(option, given, error)
                findings.problem(text, [given], key=option.name)
    entries.sort(key=lambda entry: entry[1].line)
    return Chosen(entries, resolve)


def _that_count(option: Option, given: list[Given], findings: Findings) -> list[Given]:
    if option.repeatable or not given:
        return given
    if len({one.text for one in given}) > 1:
        findings.warn(option.name, "given more than once, the last one counts", given)
    return given[-1:]


def read_value(option: Option, text: str | None, resolve: Resolve) -> object:
    """The value that a key's text stands for; raises BadValueError with what was expected."""
    if not text and option.kind.bare is not None:
        text = option.kind.bare
    if text is None:
        raise BadValueError(f"expected a value: {option.name}={option.kind.word}")
    if _PLACEHOLDER.fullmatch(text):
        raise BadValueError("expected a value in place of the placeholder")
    if _CONTROL.search(text) or (not text.isascii() and not _is_utf8(text)):
        raise BadValueError("expected UTF-8 text without control characters")
    return option.kind.read(text, resolve)


def _is_utf8(text: str) -> bool:
    # Arguments that are not UTF-8 come as lone surrogates.
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _complaint(option: Option, given: Given, error: BadValueError) -> str:
    if given.text is None:
        return str(error)
    if option.secret:
        return f"{error} (what was given is not shown)"
    text = given.text if len(given.text) <= 60 else given.text[:57] + "..."
    return f"{error}, got {text!r}"
