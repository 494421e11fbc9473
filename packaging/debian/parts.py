"""What the Debian package says that only the build knows: programs, manual pages, licences.

`parts.py LIBRARY ROOT CARGO`, where LIBRARY holds the installed Python packages. Knows nothing of
how they came there.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TOP = HERE.parent.parent
LIBRARY = "/usr/lib/ferryman"

# -I and -S: neither PYTHONPATH nor the system's own packages are looked at, and nothing of what
# the server runs can be changed from outside its folder.
PROGRAM = """\
#!/usr/bin/python3 -IS
import sys

sys.path.append("{library}")

from {module} import {function}

sys.exit({function}())
"""


def main(arguments: list[str]) -> int:
    library, root = Path(arguments[0]), Path(arguments[1])
    sys.path.insert(0, str(library))
    _write_programs(library, root / "usr/bin")
    _write_manuals(root / "usr/share/man", {path.name for path in (root / "usr/bin").iterdir()})
    document = root / "usr/share/doc/ferryman"
    _write_copyright(library, document, _crates(arguments[2]))
    return 0


def _write_programs(library: Path, folder: Path) -> None:
    for point in metadata.Distribution.at(_info(library, "ferryman")).entry_points:
        if point.group == "console_scripts":
            text = PROGRAM.format(library=LIBRARY, module=point.module, function=point.attr)
            (folder / point.name).write_text(text)
            (folder / point.name).chmod(0o755)


def _info(library: Path, name: str) -> Path:
    return next(library.glob(f"{name}-*.dist-info"))


def _write_manuals(folder: Path, programs: set[str]) -> None:
    # Ours is in LIBRARY, which is on the path since `main`.
    import manual

    (folder / "man8/ferryman.8").write_text(manual.ferryman())
    if "turnserver" in programs:
        (folder / "man1/turnserver.1").write_text(manual.turnserver())


def _write_copyright(library: Path, document: Path, crates: list[dict[str, Any]]) -> None:
    text = (HERE / "copyright").read_text().replace("@HOLDER@", _holder())
    paragraphs = [*_python_paragraphs(library), *_crate_paragraphs(crates), _expat()]
    (document / "copyright").write_text("\n".join([text, *paragraphs]))
    texts = "\n".join(_crate_texts(crates)).encode()
    (document / "rust-licences.gz").write_bytes(gzip.compress(texts, mtime=0))


def _holder() -> str:
    lines = (TOP / "LICENSE").read_text().splitlines()
    return next(line for line in lines if line.startswith("Copyright")).removeprefix("Copyright ")


def _expat() -> str:
    body = (TOP / "LICENSE").read_text().split("\n\n", 2)[2]
    return "License: Expat\n" + "".join(f" {line or '.'}\n" for line in body.splitlines())


def _python_paragraphs(library: Path) -> Iterator[str]:
    for info in sorted(library.glob("*.dist-info")):
        about = metadata.Distribution.at(info).metadata
        name, license_name = about["Name"], _license_of(about)
        if name != "ferryman":
            place = name.replace("-", "_").lower()
            holder = about["Author-email"] or about["Author"] or f"the authors of {name}"
            yield (
                f"Files: usr/lib/ferryman/{place}*\nCopyright: {holder}\n"
                f"License: {license_name}\n See /usr/lib/ferryman/{info.name}.\n"
            )


def _license_of(about: Any) -> str:
    assert isinstance(about, Message)
    return str(about["License-Expression"] or about["License"] or "see the text").splitlines()[0]


def _crates(cargo: str) -> list[dict[str, Any]]:
    """The crates that the datapath is linked with, for this machine."""
    triple = subprocess.run(
        ["rustc", "-vV"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    target = next(line[6:] for line in triple.splitlines() if line.startswith("host: "))
    command = [cargo, "metadata", "--locked", "--format-version=1", f"--filter-platform={target}"]
    manifest = ["--manifest-path", str(TOP / "native/py/Cargo.toml")]
    said = subprocess.run([*command, *manifest], capture_output=True, check=True)
    graph = json.loads(said.stdout)
    used = _reached(graph)
    return [one for one in graph["packages"] if one["id"] in used and one["source"]]


def _reached(graph: dict[str, Any]) -> set[str]:
    """What the package itself is linked with: no tests of its own, no build scripts."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    reached: set[str] = set()
    waiting = [graph["resolve"]["root"]]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += [
                other["pkg"]
                for other in nodes[one]["deps"]
                if any(kind["kind"] is None for kind in other["dep_kinds"])
            ]
    return reached


def _crate_paragraphs(crates: list[dict[str, Any]]) -> Iterator[str]:
    names = "".join(f" {one['name']} {one['version']}: {one['license']}\n" for one in crates)
    yield (
        "Files: usr/lib/ferryman/ferryman/datapath/_native.abi3.so\n"
        "Copyright: the authors of Ferryman, and of the Rust crates below\n"
        f"License: Expat and others\n{names}"
    )


def _crate_texts(crates: list[dict[str, Any]]) -> Iterator[str]:
    for one in crates:
        yield f"==== {one['name']} {one['version']} ({one['license']})\n"
        folder = Path(one["manifest_path"]).parent
        for pattern in ("LICEN[CS]E*", "COPYING*", "NOTICE*"):
            for path in sorted(folder.glob(pattern)):
                if path.is_file():
                    yield f"---- {path.name}\n{path.read_text(errors='replace')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
