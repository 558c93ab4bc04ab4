"""log.store: lines are kept once, packed, and passed on."""

from __future__ import annotations

import json

from handlers.log.chunks import numbered, packed, unpacked
from handlers.log.store import chunk, decide
from tests.fix_house import Story
from tests.handlers.people import event, matched

HANDLER = "log.store"
AT = "2026-01-01T00:00:00Z"
LINES = [{"at": AT, "text": text} for text in ("one", "two")]
WRITTEN = {"pilot_id": "p1", "job_id": 1, "attempt": 1, "stream": "std.out", "first_number": 5, "lines": LINES}
OWN = {"pilot_id": "p1", "stream": "pilot", "first_number": 1, "lines": LINES}


def kept(story: Story) -> list[list[object]]:
    """Every line, in the order of the numbers."""
    rows = story.rows("SELECT lines FROM log.chunks ORDER BY first_number")
    return [line for (lines,) in rows for line in unpacked(bytes(lines))]


def test_lines_are_numbered_on_from_the_first_and_from_where_some_are_missing() -> None:
    lines = [{"at": AT, "text": "a"}, {"at": AT, "text": "b", "number": 9, "level": "debug"}, {"at": AT, "text": "c"}]
    assert numbered(WRITTEN | {"lines": lines}) == [[5, AT, "info", "a"], [9, AT, "debug", "b"], [10, AT, "info", "c"]]


def test_a_number_that_goes_backwards_is_not_believed() -> None:
    lines = [{"at": AT, "text": "a"}, {"at": AT, "text": "b", "number": 1}]
    assert [line[0] for line in numbered(WRITTEN | {"lines": lines})] == [5, 6]


def test_a_chunk_says_what_is_in_it_and_is_small() -> None:
    lines = [{"at": AT, "text": f"BesEvtGen: event {number} of 200, all is well"} for number in range(200)]
    row = chunk(WRITTEN | {"lines": lines})
    assert (row["first_number"], row["last_number"], row["count"], row["last_at"]) == (5, 204, 200, AT)
    assert len(row["lines"]) < len(json.dumps(lines)) / 5
    assert unpacked(row["lines"])[199] == [204, AT, "info", lines[199]["text"]]
    assert unpacked(packed([[1, AT, "info", "\u00fc\U0001f680"]])) == [[1, AT, "info", "\u00fc\U0001f680"]]


def test_a_pilot_writes_of_itself_and_of_its_own_attempts() -> None:
    assert decide(OWN, None) is None
    assert decide(WRITTEN, {"own": True}) is None
    assert "has no attempt 1 of job 1" in (decide(WRITTEN, {"own": False}) or "")
    assert decide(WRITTEN, None)


def test_a_batch_that_is_sent_again_is_one_chunk(story: Story) -> None:
    matched(story)
    again = event("log.written.v1", 1, WRITTEN, authid="pilot-p1")
    for _ in range(2):
        story.when(again, once=False).then(("log.stored.v1", {"first_number": 5}))
    assert kept(story) == [[5, AT, "info", "one"], [6, AT, "info", "two"]]


def test_what_is_passed_on_is_its_owners_and_not_journaled(story: Story) -> None:
    matched(story).when(event("log.written.v1", 1, WRITTEN, authid="pilot-p1"), once=False)
    assert story._answers[0].owner == "ada"
    assert story.rows("SELECT count(*) FROM bus.events WHERE type LIKE 'log%%'") == [(0,)]


def test_another_pilot_writes_nothing_into_the_log_of_a_job(story: Story) -> None:
    matched(story).when(event("log.written.v1", 1, WRITTEN | {"pilot_id": "p2"}, authid="pilot-p2"), once=False)
    story.then(("security.refused.v1", {"account": "pilot-p2"}))
    assert kept(story) == []


def test_a_pilot_that_is_called_like_a_job_writes_into_its_own_log(story: Story) -> None:
    matched(story).when(event("log.written.v1", 1, OWN | {"pilot_id": "1"}, authid="pilot-1"), once=False)
    assert story.rows("SELECT DISTINCT subject FROM log.chunks") == [("pilot-1",)]
