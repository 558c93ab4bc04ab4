"""log.store: lines are kept once and passed on."""

from __future__ import annotations

from handlers.log.store import decide, rows
from tests.fix_house import Story
from tests.handlers.people import event, matched

HANDLER = "log.store"
LINES = [{"at": "2026-01-01T00:00:00Z", "text": text} for text in ("one", "two")]
WRITTEN = {"pilot_id": "p1", "job_id": 1, "attempt": 1, "stream": "std.out", "first_number": 5, "lines": LINES}
OWN = {"pilot_id": "p1", "stream": "pilot", "first_number": 1, "lines": LINES}


def test_lines_are_numbered_on_from_the_first() -> None:
    assert [(line["number"], line["text"]) for line in rows(WRITTEN)] == [(5, "one"), (6, "two")]


def test_a_pilot_writes_of_itself_and_of_its_own_attempts() -> None:
    assert decide(OWN, None) is None
    assert decide(WRITTEN, {"own": True}) is None
    assert "has no attempt 1 of job 1" in (decide(WRITTEN, {"own": False}) or "")
    assert decide(WRITTEN, None)


def test_a_repeat_and_an_overlap_are_one_line_each(story: Story) -> None:
    matched(story)
    for first in (5, 5, 6):
        again = event("log.written.v1", 1, WRITTEN | {"first_number": first}, authid="pilot-p1")
        story.when(again, once=False).then(("log.stored.v1", {"first_number": first}))
    assert story.rows("SELECT number, text FROM log.lines ORDER BY 1") == [(5, "one"), (6, "two"), (7, "two")]


def test_what_is_passed_on_is_its_owners_and_not_journaled(story: Story) -> None:
    matched(story).when(event("log.written.v1", 1, WRITTEN, authid="pilot-p1"), once=False)
    assert story._answers[0].owner == "ada"
    assert story.rows("SELECT count(*) FROM bus.events WHERE type LIKE 'log%%'") == [(0,)]


def test_another_pilot_writes_nothing_into_the_log_of_a_job(story: Story) -> None:
    matched(story).when(event("log.written.v1", 1, WRITTEN | {"pilot_id": "p2"}, authid="pilot-p2"), once=False)
    story.then(("security.refused.v1", {"account": "pilot-p2"}))
    assert story.rows("SELECT count(*) FROM log.lines") == [(0,)]


def test_a_pilot_that_is_called_like_a_job_writes_into_its_own_log(story: Story) -> None:
    matched(story).when(event("log.written.v1", 1, OWN | {"pilot_id": "1"}, authid="pilot-1"), once=False)
    assert story.rows("SELECT DISTINCT subject FROM log.lines") == [("pilot-1",)]
