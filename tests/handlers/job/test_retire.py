"""job.retire: what was over for long is Deleted, what was Deleted for long is gone, with all that it held."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.event import Event
from handlers.job import retire
from handlers.job.retire import decide
from tests.fix_house import Story
from tests.handlers.bulks import waiting as bulk_waiting
from tests.handlers.job.test_kill import facts, many
from tests.handlers.people import event, submitted, until_locked

HANDLER = "job.retire"
DAYS = {"Done": 7, "Failed": 7, "Killed": 7, "Deleted": 1}
DIGEST = "ab" * 32


def minute() -> Event:
    """A minute is over."""
    return event("clock.minute.v1", "_", {"minute": "2026-11-21T00:00:00Z"})


def aged(story: Story, days: int, condition: str = "true") -> Story:
    """These jobs are as they are for so many days."""
    return story.sql(f"UPDATE job.jobs SET changed_at = now() - interval '{days} days' WHERE {condition}")


def states(story: Story) -> dict[str, int]:
    """How many jobs are in which state."""
    return dict(story.rows("SELECT state, count(*) FROM job.jobs GROUP BY 1"))


def test_each_state_has_its_days_and_negative_ones_are_for_ever() -> None:
    until = decide("2026-11-21T00:00:00Z", {"Done": 7, "Deleted": 0, "Killed": -1})
    assert until == {"Done": dt.datetime(2026, 11, 14, tzinfo=dt.UTC), "Deleted": dt.datetime(2026, 11, 21, tzinfo=dt.UTC)}


def test_what_was_over_for_long_is_deleted_and_what_waits_is_not(story: Story) -> None:
    for state in ("Done", "Failed", "Killed", "Waiting", "Running"):
        many(story, 50, state)
    aged(story, 8, "mod(job_id, 2) = 0").when(minute(), hands=DAYS | {"Killed": -1})
    assert states(story) == {"Done": 25, "Failed": 25, "Killed": 50, "Waiting": 50, "Running": 50, "Deleted": 50}
    assert {kind for kind, _ in facts(story)} == {"job.deleted.v1"}
    many(aged(story, 8), 100, "Done").sql("UPDATE job.jobs SET changed_at = now() - interval '8 days' WHERE state = 'Done'")
    story.when(minute(), hands=DAYS | {"Deleted": -1})
    assert [kind for kind, _ in facts(story)] == ["bulk.deleted.v1"]
    assert story.answers[0].data["requested_by"] == "pilotbus"


def test_a_minute_does_so_much_and_the_next_one_goes_on(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retire, "MOST", 10)
    monkeypatch.setattr(retire, "TIMES", 2)
    aged(many(story, 25, "Done"), 8)
    for left in ({"Done": 5, "Deleted": 20}, {"Deleted": 25}):
        story.when(minute(), once=False, hands=DAYS)
        assert states(story) == left
    aged(story, 8)
    for left in ({"Deleted": 5}, {}):
        story.when(minute(), once=False, hands=DAYS)
        assert states(story) == left


def test_a_job_that_is_just_being_rescheduled_is_left_alone(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    aged(many(story, 1, "Failed"), 8)

    def retiring() -> None:
        with psycopg.connect(test_dsn, autocommit=True) as own:
            apply(found[HANDLER], [minute()], own, words, hands=DAYS)

    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(test_dsn) as other, other.transaction():
            apply(found["job.reschedule"], [event("job.reschedule.v1", "_", {"job_ids": [1]})], other, words, once=False)
            done = pool.submit(retiring)
            until_locked(story, done)
        done.result(20)
    assert states(story) == {"Rescheduled": 1}


def test_what_was_deleted_for_long_is_gone_with_its_history(story: Story) -> None:
    submitted(story, 3)
    story.sql("UPDATE job.jobs SET state = 'Deleted'")
    story.sql("INSERT INTO job.usage VALUES (1, 1, now(), '{}')")
    aged(story, 2, "job_id < 3").when(minute(), hands=DAYS)
    assert story.rows("SELECT job_id FROM job.jobs") == [(3,)]
    assert story.rows("SELECT DISTINCT job_id FROM job.history") == [(3,)]
    assert story.rows("SELECT count(*) FROM job.usage") == [(0,)]
    assert story.rows("SELECT jobs FROM job.groups") == [(1,)]


def test_what_jobs_of_a_submission_have_in_common_goes_with_the_last(story: Story) -> None:
    bulk_waiting(story).sql("UPDATE job.jobs SET state = 'Deleted'")
    common = [f"SELECT count(*) FROM job.{table}" for table in ("templates", "shapes", "history_ranges")]
    aged(story, 2, "job_id < 5").when(minute(), hands=DAYS)
    assert [story.rows(table) for table in common] == [[(1,)], [(1,)], [(4,)]]
    aged(story, 2).when(minute(), hands=DAYS)
    assert [story.rows(table) for table in common] == [[(0,)]] * 3


def used(story: Story) -> list[tuple[Any, ...]]:
    """Which sandboxes are inputs."""
    return story.rows("SELECT digest FROM file.uses")


def test_the_input_of_a_submission_is_let_go_with_its_last_job(story: Story) -> None:
    submitted(story, 3, InputSandbox=[f"SB:{DIGEST}", "LFN:/bes/x"])
    assert used(story) == [(DIGEST,)]
    story.sql("UPDATE file.sandboxes SET in_use_at = '2026-01-01'")
    story.sql("UPDATE job.jobs SET state = 'Deleted'")
    aged(story, 2, "job_id < 3").when(minute(), hands=DAYS)
    assert used(story) == [(DIGEST,)]
    aged(story, 2).when(minute(), hands=DAYS)
    assert used(story) == []
    assert story.rows("SELECT in_use_at > now() - interval '1 minute' FROM file.sandboxes") == [(True,)]


def test_the_counts_of_groups_are_folded(story: Story) -> None:
    many(story, 5).when(minute(), hands=DAYS)
    assert story.rows("SELECT (SELECT count(*) FROM job.group_deltas), (SELECT sum(jobs) FROM job.group_counts)") == [(0, 5)]
