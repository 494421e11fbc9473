"""The arithmetic, the tables and the picture of the benchmark; what is published was measured."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import kept
import picture
import pytest
import report
import rows
import soak
from contenders import Program, Server, Settings
from report import Contest, Score, Setting
from rows import Result

REPOSITORY = Path(__file__).parent.parent
PLAIN = Result(100.0, 1.0, 0.9, 0.5, 0.0, 0.0)
ROW = {row.name: row for row in rows.ROWS}
SVG = "{http://www.w3.org/2000/svg}"


def score(name: str, *pairs: tuple[float, float], load_busy: float = 0.5) -> Score:
    """Rounds of a row: the values of both servers; the CPU is 1 and 3 us."""
    first, second = (dataclasses.replace(PLAIN, cpu=cpu, load_busy=load_busy) for cpu in (1.0, 3.0))
    return Score(
        ROW[name],
        [
            (dataclasses.replace(first, value=a), dataclasses.replace(second, value=b))
            for a, b in pairs
        ],
    )


def contest(*scores: Score, name: str = "coturn") -> Contest:
    return Contest(name, Setting(("ferryman 1", f"{name} 2"), 0, 1, 1, 1.0, ("bare",)), [*scores])


@pytest.mark.parametrize(
    ("name", "pairs", "ratio"),
    [
        ("relay-1-up", [(200.0, 100.0), (900.0, 100.0), (300.0, 100.0)], 3.0),
        ("latency-0.5-p99", [(50.0, 100.0)], 2.0),
        ("latency-0.5-p99", [(200.0, 100.0)], 0.5),
    ],
)
def test_a_ratio_is_the_median_of_the_rounds_and_above_one_is_better(
    name: str, pairs: list[tuple[float, float]], ratio: float
) -> None:
    assert score(name, *pairs).value_ratio() == ratio


def test_a_server_that_waited_for_the_load_is_judged_by_its_cpu() -> None:
    goal = ROW["relay-1-up"].goal or 0.0
    short = (goal * 90.0, 100.0)
    assert score("relay-1-up", short).missed()
    assert not score("relay-1-up", short, load_busy=0.99).missed()


def test_a_steady_rate_is_a_share_of_what_the_other_can_do() -> None:
    row = rows.steady(ROW["latency-0.5-p99"], 300_000.0)
    assert row.load[-2:] == ("--rate", "150000")
    assert rows.steady(ROW["relay-1-up"], 300_000.0) == ROW["relay-1-up"]


def test_a_train_to_a_stream_is_no_longer_than_what_may_be_under_way() -> None:
    trains = [row for row in rows.ROWS if row.name.startswith(("trains-tcp-", "trains-tls-"))]
    assert len(trains) == 8
    for row in trains:
        length = row.load[row.load.index("--train") + 1]
        assert int(length) > 1
        assert int(length) * (row.payload or 0) <= 24 << 10, row.name


def test_rows_that_were_measured_again_replace_the_old_ones_and_the_others_stay(
    tmp_path: Path,
) -> None:
    file = tmp_path / "kept.json"
    old = contest(score("binding", (1.0, 1.0)), score("relay-1-up", (2.0, 1.0)))
    kept.merge([old, Contest("pion", None, [], "pion is not here")], file)
    new = contest(score("binding", (5.0, 1.0)))
    merged = kept.merge([new], file)
    assert merged == kept.load(file)
    assert [(one.row.name, one.value_ratio()) for one in merged[0].scores] == [
        ("relay-1-up", 2.0),
        ("binding", 5.0),
    ]
    assert merged[1].missing == "pion is not here"


def test_a_server_that_is_not_here_now_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    measured = contest(score("binding", (1.0, 1.0)), name="pion")
    kept.merge([contest(), measured], file)
    merged = kept.merge([contest(), Contest("pion", None, [], "pion is not here")], file)
    assert merged[1].scores == measured.scores


def test_the_picture_has_a_bar_for_each_row_and_worse_ones_go_the_other_way() -> None:
    better, worse = score("relay-1-up", (200.0, 100.0)), score("binding", (50.0, 100.0))
    drawn = ET.fromstring(picture.draw(contest(better, worse)))
    bars = [(bar.get("class"), float(bar.get("x", 0))) for bar in drawn.iter(f"{SVG}rect")]
    lines = drawn.findall(f"{SVG}line")
    one = next(float(line.get("x1", 0)) for line in lines if line.get("class") == "one")
    assert [kind for kind, _ in bars] == ["better", "worse"]
    assert bars[0][1] == one > bars[1][1]
    assert sum(line.get("class") == "goal" for line in lines) == 2


def test_a_page_without_a_place_for_the_table_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        report.write(page, "table")
    assert page.read_text() == "nothing"


def test_the_page_and_the_picture_are_what_was_measured() -> None:
    measured = kept.load()
    assert measured
    page = (REPOSITORY / "docs" / "performance.md").read_text(encoding="utf-8")
    assert report.page(measured) in page
    assert picture.draw(measured[0]) == picture.FILE.read_text(encoding="utf-8")


GROWS_TWICE = """
import mmap, sys
def told():
    print(flush=True)
    input()
file = open(sys.argv[1], "rb")
told()
mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[::4096])
told()
own = bytearray(b"x") * 2**24
told()
"""


def test_memory_is_what_a_process_has_for_itself_and_not_its_share_of_files(tmp_path: Path) -> None:
    file = tmp_path / "library"
    file.write_bytes(bytes(2**24))
    with subprocess.Popen(
        [sys.executable, "-c", GROWS_TWICE, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        server = Server(Program("x", "1", file), Settings(1, 1, 1, ""), 0, process, ())
        sizes = []
        for _ in range(3):
            process.stdout.readline()
            sizes.append(server.memory())
            print(file=process.stdin, flush=True)
    assert sizes[1] - sizes[0] < 2**20
    assert 0 <= sizes[2] - sizes[1] - 2**24 < 2**20


@pytest.mark.parametrize("before", range(0, 60_000, 5_000))
def test_a_table_that_is_never_emptied_is_seen_whenever_it_doubles(before: int) -> None:
    """24 octets a row and one for its place, seven rows in eight places; 400 rows a second."""

    def size(second: int) -> int:
        places = 1 << ((before + 400 * second) * 8 // 7).bit_length()
        return 75 * 2**20 + 25 * places

    sizes = [size(second) for second in range(0, 600, 8)]
    assert soak.growth(sizes) > soak.GROWTH_LIMIT


def test_a_table_that_has_filled_is_no_growth() -> None:
    filled = [min(second * 2**20, 75 * 2**20) for second in range(0, 600, 8)]
    assert soak.growth(filled) == 0
