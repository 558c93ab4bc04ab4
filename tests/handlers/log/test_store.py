"""log.store: lines are kept once and passed on."""

from __future__ import annotations

from handlers.log.store import decide
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "log.store"
LINES = [{"at": "2026-01-01T00:00:00Z", "text": text} for text in ("one", "two")]
WRITTEN = {"pilot_id": "p1", "job_id": 1, "attempt": 1, "stream": "std.out", "first_number": 5, "lines": LINES}


def test_lines_are_numbered_on_from_the_first() -> None:
    assert [(line["number"], line["text"]) for line in decide(WRITTEN)] == [(5, "one"), (6, "two")]


def test_a_repeat_and_an_overlap_are_one_line_each(story: Story) -> None:
    for first in (5, 5, 6):
        again = event("log.written.v1", 1, WRITTEN | {"first_number": first}, authid="pilot")
        story.when(again, once=False).then(("log.stored.v1", {"first_number": first}))
    assert story.rows("SELECT number, text FROM log.lines ORDER BY 1") == [(5, "one"), (6, "two"), (7, "two")]


def test_what_is_passed_on_is_not_journaled(story: Story) -> None:
    story.when(event("log.written.v1", 1, WRITTEN, authid="pilot"), once=False)
    assert story.rows("SELECT count(*) FROM bus.events") == [(0,)]
