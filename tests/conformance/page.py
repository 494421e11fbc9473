"""docs/conformance.md: clause by clause, the rule, where it lives, and the test that pins it.

`python -m tests.conformance.page` writes it. Printed from the marks of the tests here and from the
rows of `engine/refusals.py`; what nobody pins or nobody keeps is an error.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import tests.conformance
from ferryman.engine.refusals import Refusal

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "conformance.md"
RECORD = ROOT / "tests" / "conformance" / "record.md"
ENGINE = ROOT / "src" / "ferryman"

HEAD = """\
# Conformance

<!-- written by python -m tests.conformance.page -->

One row a clause: the rule in our words, where it lives, and the test that pins it. The tests run
over real sockets, against Ferryman (`make test`) or any other server:

```
.venv/bin/python -m pytest tests/conformance --server HOST:PORT --secret SECRET
```

`--user NAME:PASSWORD`, twice, names static users, `--tls-port PORT` the port for TLS; what a server
cannot be asked without more is skipped.

A name in capitals is a row of `src/ferryman/engine/refusals.py`, with the file that speaks it.
"""


class Row(NamedTuple):
    """One test with its mark."""

    section: str
    sentence: str
    where: str
    test: str


def rows() -> list[Row]:
    """Every marked test, ordered by clause: of this package, the engine's and the program's."""
    found = [
        Row(
            mark.args[0],
            mark.args[1],
            mark.args[2],
            f"{_file(module)}::{name}",
        )
        for module in (*_modules(), *_modules_elsewhere())
        for name, function in inspect.getmembers(module, inspect.isfunction)
        for mark in getattr(function, "pytestmark", ())
        if mark.name == "clause"
    ]
    return sorted(found, key=lambda row: (_order(row.section), row.test))


def unmarked() -> list[str]:
    """Tests that pin no clause."""
    return [
        name
        for module in _modules()
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("test_") and function.__module__ == module.__name__
        if not any(mark.name == "clause" for mark in getattr(function, "pytestmark", ()))
    ]


def homes(refusal: str) -> list[str]:
    """The files of the server that speak a refusal's name; a log only writes it down."""
    spoken = re.compile(rf"\bRefusal\.{refusal}\b")
    return sorted(
        str(file.relative_to(ROOT))
        for file in ENGINE.rglob("*.py")
        if not file.name.endswith("_log.py") and spoken.search(file.read_text(encoding="utf-8"))
    )


def is_home(where: str) -> bool:
    """Whether `where` names a file of the tree or a refusal that somebody speaks."""
    if where in Refusal.__members__:
        return bool(homes(where))
    return (ROOT / where).is_file()


def page() -> str:
    return "".join((HEAD, *_by_document(), *_refusals(), *_record()))


def _modules() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(tests.conformance.__path__):
        if module.name.startswith("test_") and module.name != "test_page":
            yield importlib.import_module(f"tests.conformance.{module.name}")


def _modules_elsewhere() -> Iterator[ModuleType]:
    """Those beside this package that pin clauses, too: by a clock of their own, or by hand."""
    for folder in ("auth", "engine", "running", "server"):
        for file in sorted((ROOT / "tests" / folder).glob("test_*.py")):
            if "\n@clause(" in file.read_text(encoding="utf-8"):
                yield importlib.import_module(f"tests.{folder}.{file.stem}")


def _file(module: ModuleType) -> str:
    name = module.__name__.removeprefix("tests.").removeprefix("conformance.")
    return name.replace(".", "/") + ".py"


def _order(section: str) -> tuple[str, list[int]]:
    document, _, clauses = section.partition(" §")
    return document, [int(number) for number in re.findall(r"\d+", clauses)]


def _by_document() -> Iterator[str]:
    document = ""
    for row in rows():
        named = row.section.partition(" §")[0]
        if named != document:
            document = named
            yield f"\n## {document}\n\n| clause | rule | lives in | pinned by |\n"
            yield "|---|---|---|---|\n"
        clause = row.section.removeprefix(document).strip()
        yield f"| {clause} | {row.sentence} | {_place(row.where)} | `{row.test}` |\n"


def _place(where: str) -> str:
    if where not in Refusal.__members__:
        return f"`{where}`"
    return f"{where}: " + ", ".join(f"`{home}`" for home in homes(where))


def _refusals() -> Iterator[str]:
    yield "\n## Every refusal\n\n| name | code | clause | meaning | spoken in | pinned by |\n"
    yield "|---|---|---|---|---|---|\n"
    pinned = {row.where: row.test for row in rows()}
    for refusal in Refusal:
        rule = refusal.value
        spoken = ", ".join(f"`{Path(home).name}`" for home in homes(refusal.name))
        test = pinned.get(refusal.name) or engine_test(refusal.name)
        yield (
            f"| {refusal.name} | {rule.code} | {rule.clause} | {rule.meaning} "
            f"| {spoken} | {f'`{test}`' if test else ''} |\n"
        )


def engine_test(refusal: str) -> str:
    """A test of the engine, auth or server that speaks the refusal's name, as file::test."""
    spoken = re.compile(rf"\bRefusal\.{refusal}\b")
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        name = file.relative_to(ROOT / "tests")
        text = file.read_text(encoding="utf-8")
        if name.parts[0] != "conformance" and spoken.search(text):
            for test, source in _tests(text):
                if spoken.search(source):
                    return f"{name}::{test}"
    return ""


def _tests(text: str) -> Iterator[tuple[str, str]]:
    """The tests of a file, each with its decorators and body."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min((one.lineno for one in node.decorator_list), default=node.lineno)
            yield node.name, "\n".join(lines[first - 1 : node.end_lineno])


def _record() -> Iterator[str]:
    if RECORD.is_file():
        yield "\n" + RECORD.read_text(encoding="utf-8")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
