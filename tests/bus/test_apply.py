"""Many events in one transaction: as if one after another, in few round trips, each once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Bug, Conflict, Invalid
from bus.event import Event
from bus.postgres import together
from bus.sql import Db
from tests.attacks.rows import attack
from tests.fix_house import Story
from tests.handlers.people import event, submitted

HANDLER = "job.check"
SQL = {
    "count": "SELECT n FROM counted WHERE key = %(key)s",
    "next": "UPDATE counted SET n = n + 1 WHERE key = %(key)s RETURNING n",
    "add": "UPDATE counted SET n = n + %(more)s WHERE key = %(key)s",
    "stale": "SELECT job.move(%(job_id)s, 99, 'Done', '', NULL, now(), 'x', NULL)",
}


@pytest.fixture
def counted(db: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A table with a counter per key."""
    db.execute("CREATE TABLE counted (key text PRIMARY KEY, n integer)")
    db.execute("INSERT INTO counted VALUES ('a', 0), ('b', 0)")
    return db


def test_a_call_that_is_made_again_reads_each_row_once(counted: psycopg.Connection[Any]) -> None:
    def call(key: str, db: Db) -> tuple[int, int]:
        first, second = db.one("next", key=key), db.one("next", key=key)
        db.run("add", key=key, more=10)
        return (first or {})["n"], (second or {})["n"]

    with counted.transaction():
        assert together(counted, SQL, ["a", "b"], call) == [(1, 2), (1, 2)]
    assert counted.execute("SELECT n FROM counted ORDER BY key").fetchall() == [(12,), (12,)]


def test_a_handler_that_reads_after_it_wrote_is_told_so(counted: psycopg.Connection[Any]) -> None:
    def call(key: str, db: Db) -> None:
        db.run("add", key=key, more=1)
        db.one("count", key=key)

    with pytest.raises(Bug, match="reads first"), counted.transaction():
        together(counted, SQL, ["a"], call)
    assert counted.execute("SELECT sum(n) FROM counted").fetchone() == (0,)


def test_a_row_that_moved_meanwhile_is_a_conflict_and_nothing_is_kept(story: Story) -> None:
    submitted(story)

    def call(job_id: int, db: Db) -> None:
        db.run("stale", job_id=job_id)

    with pytest.raises(Conflict, match="no longer at version 99"), story._db.transaction():
        together(story._db, SQL, [1], call)
    assert story.rows("SELECT state FROM job.jobs") == [("Received",)]


def test_events_of_one_key_in_one_batch_see_each_other(counted: psycopg.Connection[Any], words: Words) -> None:
    def handle(told: Event, db: Db) -> Iterable[Event]:
        row = db.one("count", key=told.data["key"])
        db.run("add", key=told.data["key"], more=1 + (row or {})["n"])
        return []

    handler = Handler("test.add", "handle", handle, (), (), sql=SQL)
    events = [event("clock.minute.v1", key, {"key": key}) for key in ("a", "b", "a", "a")]
    with counted.transaction():
        apply(handler, events, counted, words)
    # a: 0 → 1 → 3 → 7, as if one after another; b: 0 → 1
    assert counted.execute("SELECT n FROM counted ORDER BY key").fetchall() == [(7,), (1,)]


def test_a_double_in_one_batch_is_applied_once(counted: psycopg.Connection[Any], words: Words) -> None:
    def handle(told: Event, db: Db) -> Iterable[Event]:
        db.run("add", key="a", more=1)
        return []

    handler = Handler("test.add", "handle", handle, (), (), sql=SQL)
    one = event("clock.minute.v1", "a", {})
    applied, _ = apply(handler, [one, Event.from_json(one.to_json()), one], counted, words)
    assert counted.execute("SELECT n FROM counted WHERE key = 'a'").fetchone() == (1,)
    assert len(applied) == 3


@attack("extension handler", "emits what it has not announced, or what is not well formed")
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (("job.done.v1", {"job_id": 1, "attempt": 1, "minor_status": "x"}), "EMITS"),
        (("job.checked.v1", {"job_id": "one", "attempt": 1}), "job_id"),
        (("job.checked.v1", {"job_id": 1, "attempt": 1, "extra": 1}), "extra"),
    ],
)
def test_an_answer_that_is_not_announced_or_not_well_formed_rolls_all_back(
    counted: psycopg.Connection[Any], words: Words, answer: tuple[str, dict[str, Any]], why: str
) -> None:
    def handle(told: Event, db: Db) -> Iterable[Event]:
        db.run("add", key="a", more=1)
        return [told.answer(answer[0], 1, answer[1])]

    handler = Handler("test.add", "handle", handle, (), ("job.checked.v1",), sql=SQL)
    with pytest.raises((LookupError, Invalid), match=why):
        apply(handler, [event("clock.minute.v1", "a", {})], counted, words)
    assert counted.execute("SELECT sum(n), (SELECT count(*) FROM bus.inbox) FROM counted").fetchone() == (0, 0)


def test_what_is_emitted_is_stored_as_it_travels(story: Story) -> None:
    submitted(story).when(event("job.submitted.v1", 1, {"job_id": 1}))
    ((body,),) = story.rows("SELECT body::text FROM bus.events WHERE type = 'job.checked.v1'")
    told = Event.from_json(body.encode())
    assert told.to_json() == body.encode()
    assert (told.source, told.subject) == ("/pilotbus/job.check", "1")
