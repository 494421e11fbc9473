"""The conformance page is what the code says, and no rule is without a place and a test."""

from __future__ import annotations

from ferryman.engine.refusals import Refusal
from tests.conformance.page import PAGE, engine_test, homes, is_home, page, rows, unmarked
from tests.conformance.sections import without_a_row


def test_the_page_is_current() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), "run: python -m tests.conformance.page"


def test_every_section_that_binds_a_server_has_a_row() -> None:
    assert without_a_row([row.section for row in rows()]) == []


def test_every_test_pins_a_clause() -> None:
    assert unmarked() == []


def test_every_rule_has_a_place() -> None:
    assert [row for row in rows() if not is_home(row.where)] == []


def test_every_refusal_is_spoken() -> None:
    assert [refusal.name for refusal in Refusal if not homes(refusal.name)] == []


def test_every_refusal_is_pinned() -> None:
    pinned = {row.where for row in rows()}
    loose = [r.name for r in Refusal if r.name not in pinned and not engine_test(r.name)]
    assert loose == []
