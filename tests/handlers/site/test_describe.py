"""site.describe: the newest description of a site counts, in whatever order they come, and so do its limits."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.event import Event
from handlers.site.describe import limits
from tests.fix_house import Story
from tests.handlers.claims import claim, differing, job
from tests.handlers.people import event

HANDLER = "site.describe"
ROWS = (
    "SELECT ce, attribute, value, most, running, delay_s, burst, tokens FROM match.limits WHERE site = 'A.B.ch' ORDER BY 1, 2, 3"
)


def told(day: int = 1, **more: Any) -> Event:
    """An operator describes the site A.B.ch."""
    site = event("site.described.v1", "A_B_ch", {"site": "A.B.ch", "status": "active", **more})
    return dataclasses.replace(site, time=f"2026-01-{day:02}T00:00:00Z")


def by(attribute: str, value: str = "*", **more: Any) -> dict[str, Any]:
    """A limit."""
    return {"attribute": attribute, "value": value, **more}


def test_an_older_description_that_comes_late_changes_nothing(story: Story) -> None:
    new = told(2, max_processors=8, running_limits=[by("*", most=5)])
    old = told(1, status="banned", running_limits=[by("*", most=1)])
    story.when(new).when(old)
    assert story.rows("SELECT status, max_processors FROM site.sites") == [("active", 8)]
    assert story.rows(ROWS) == [("", "*", "*", 5, 0, None, 1, 1)]


def test_the_storage_of_a_site_is_what_was_said_last(story: Story) -> None:
    story.when(told(1, storage_elements=["USER"], tags=["GPU"]))
    assert story.rows("SELECT storage_elements, tags FROM site.sites") == [(["USER"], ["GPU"])]
    story.when(told(2))
    assert story.rows("SELECT storage_elements, tags FROM site.sites") == [([], [])]


def test_one_row_holds_all_that_is_said_of_the_same_jobs() -> None:
    said = {
        "running_limits": [by("*", "whatever", most=1), by("Owner", "ada", most=2), by("*", most=3)],
        "match_delays": [by("Owner", "ada", delay_s=0.5, burst=4), by("Owner", "ada", ce="ce1", delay_s=1)],
    }
    assert limits(said) == [
        {"ce": "", "attribute": "*", "value": "*", "most": 3, "delay_s": None, "burst": 1},
        {"ce": "", "attribute": "Owner", "value": "ada", "most": 2, "delay_s": 0.5, "burst": 4},
        {"ce": "ce1", "attribute": "Owner", "value": "ada", "most": None, "delay_s": 1, "burst": 1},
    ]


def test_a_limit_begins_with_what_runs_and_one_that_stays_goes_on(story: Story) -> None:
    ada, bob = job(), job(owner="bob")
    claim(story._db, [(1, "A.B.ch", "", ada), (2, "A.B.ch", "ce1", bob), (3, "C.ch", "", ada)])
    stays = by("VO", "bes", most=9, delay_s=60.0, burst=3)
    rate = {name: stays[name] for name in ("attribute", "value", "delay_s", "burst")}
    story.when(told(1, running_limits=[stays | {"most": 9}], match_delays=[rate]))
    assert story.rows(ROWS) == [("", "VO", "bes", 9, 2, 60.0, 3, 3)]
    claim(story._db, [(4, "A.B.ch", "ce1", ada)])
    story.when(told(2, running_limits=[by("VO", "bes", most=7), by("*", ce="ce1", most=4)], match_delays=[rate]))
    (vo, *rest) = [row[:-1] for row in story.rows(ROWS)]
    assert (vo, rest) == (("", "VO", "bes", 7, 3, 60.0, 3), [("ce1", "*", "*", 4, 2, None, 1)])
    assert 1.9 < story.rows(ROWS)[0][-1] < 2.1, "its bucket is not filled by a description"
    assert differing(story._db) == []


def test_claims_of_other_sites_are_not_looked_at_when_a_limit_begins(story: Story) -> None:
    story.sql(
        """INSERT INTO match.claims (pilot_id, request_id, job_id, attempt, claimed_at, site)
        SELECT 'p1', gen_random_uuid(), n, 1, now(), 'C' || n %% 100 || '.ch' FROM generate_series(1, 5000) n"""
    )
    claim(story._db, [(5001, "A.B.ch", "", job())])
    story.sql("ANALYZE match.claims")
    seen = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'match.claims'::regclass"
    with story._db.transaction():
        ((before,),) = story.rows(seen)
        story.when(told(running_limits=[by("*", most=5), by("VO", "bes", most=5)]))
        ((after,),) = story.rows(seen)
    assert [row[4] for row in story.rows(ROWS)] == [1, 1]
    assert after - before < 10


def test_what_a_description_does_not_say_any_more_is_no_limit_any_more(story: Story) -> None:
    story.when(told(1, running_limits=[by("*", most=1), by("Owner", "ada", most=1)]))
    other = event("site.described.v1", "C_ch", {"site": "C.ch", "status": "active", "running_limits": [by("*", most=1)]})
    story.when(other)
    story.when(told(2, running_limits=[by("Owner", "ada", most=1)]))
    assert [row[:4] for row in story.rows(ROWS)] == [("", "Owner", "ada", 1)]
    story.when(told(3, running_limits=[by("*", most=7)]))
    assert story.rows("SELECT site, most FROM match.limits ORDER BY 1") == [("A.B.ch", 7), ("C.ch", 1)]
    story.when(told(4, running_limits=[by("*", most=8)]))
    assert story.rows("SELECT site, most FROM match.limits ORDER BY 1") == [("A.B.ch", 8), ("C.ch", 1)]
    story.when(told(5))
    assert story.rows("SELECT site FROM match.limits") == [("C.ch",)]


def test_a_rate_that_is_new_begins_with_a_full_bucket_and_a_smaller_one_holds_less(story: Story) -> None:
    story.when(told(1, running_limits=[by("*", most=9)]))
    story.when(told(2, match_delays=[by("*", delay_s=5, burst=8)]))
    assert story.rows(ROWS) == [("", "*", "*", None, 0, 5.0, 8, 8)]
    story.when(told(3, match_delays=[by("*", delay_s=5, burst=2)]))
    assert story.rows(ROWS) == [("", "*", "*", None, 0, 5.0, 2, 2)]


def test_a_description_wakes_whoever_waits_there(story: Story) -> None:
    story.when(told()).then(("match.released.v1", {"site": "A.B.ch"}))


@pytest.mark.parametrize("undone", [False, True])
def test_a_claim_that_is_just_made_is_counted(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str, *, undone: bool
) -> None:
    def describe() -> None:
        with psycopg.connect(test_dsn, autocommit=True) as other:
            apply(found[HANDLER], [told(running_limits=[by("*", most=5)])], other, words)

    thread = threading.Thread(target=describe)
    with story._db.transaction(force_rollback=undone):
        claim(story._db, [(1, "A.B.ch", "", job())])
        thread.start()
        thread.join(0.5)
        assert thread.is_alive(), "it counts when the claim is made or undone"
    thread.join(10)
    assert [row[:5] for row in story.rows(ROWS)] == [("", "*", "*", 5, 0 if undone else 1)]


def test_a_claim_sees_a_limit_that_is_just_described(
    story: Story, found: dict[str, Handler], words: Words, test_dsn: str
) -> None:
    given: list[int] = []

    def match() -> None:
        with psycopg.connect(test_dsn, autocommit=True) as other:
            given.extend(claim(other, [(1, "A.B.ch", "", job()), (2, "A.B.ch", "", job())]))

    thread = threading.Thread(target=match)
    with story._db.transaction():
        apply(found[HANDLER], [told(running_limits=[by("*", most=1)])], story._db, words)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(10)
    assert given == [1]
    assert differing(story._db) == []


def test_a_release_that_is_just_made_is_not_counted(story: Story, found: dict[str, Handler], words: Words, test_dsn: str) -> None:
    claim(story._db, [(1, "A.B.ch", "", job())])
    done = event("job.done.v1", 1, {"job_id": 1, "attempt": 1, "minor_status": "Execution Complete"})

    def describe() -> None:
        with psycopg.connect(test_dsn, autocommit=True) as other:
            apply(found[HANDLER], [told(running_limits=[by("*", most=5)])], other, words)

    thread = threading.Thread(target=describe)
    with story._db.transaction():
        apply(found["match.release"], [done], story._db, words)
        thread.start()
        thread.join(0.5)
    thread.join(10)
    assert [row[:5] for row in story.rows(ROWS)] == [("", "*", "*", 5, 0)]
