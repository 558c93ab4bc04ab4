"""bulk.expire: what nobody confirmed in time is gone, with all that was kept of it; what was confirmed stays."""

from __future__ import annotations

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Later
from tests.fix_house import Story
from tests.handlers.bulks import EXPIRED, confirmed, states, stored
from tests.handlers.people import SUBMISSION

HANDLER = "bulk.expire"
LATE = "UPDATE job.submissions SET expires_at = now()"


def test_every_job_is_gone_with_its_template_and_history_and_it_is_said(story: Story) -> None:
    stored(story).sql(LATE).when(EXPIRED)
    story.then(("bulk.removed.v1", {"submission": SUBMISSION, "first_job_id": 1, "last_job_id": 5, "count": 5, "owner": "ada"}))
    assert (story.answers[0].owner, story.answers[0].vo) == ("ada", "local")
    assert states(story) == []
    for table in ("templates", "shapes", "history_ranges"):
        assert story.rows(f"SELECT count(*) FROM job.{table}") == [(0,)]
    assert story.rows("SELECT state FROM job.submissions") == [("Removed",)]


def test_a_killed_one_goes_with_the_others_that_nobody_confirmed(story: Story) -> None:
    stored(story).sql("UPDATE job.jobs SET state = 'Killed' WHERE job_id = 3").sql(LATE).when(EXPIRED)
    assert states(story) == []


def test_what_was_confirmed_stays_and_so_do_others(story: Story) -> None:
    confirmed(story).sql(LATE).when(EXPIRED).then()
    assert states(story) == [("Received", 5)]
    stored(story, submission="7c9e6679-7425-40de-944b-e07fc1f90ae7").when(EXPIRED).then()
    assert states(story) == [("Received", 5), ("Submitting", 5)]


def test_what_was_stored_anew_has_its_own_time(story: Story) -> None:
    stored(story).when(EXPIRED).then()
    assert states(story) == [("Submitting", 5)]


def test_while_another_process_moves_the_submission_it_is_tried_again_later(
    story: Story, db: psycopg.Connection[object], test_dsn: str, found: dict[str, Handler], words: Words
) -> None:
    stored(story).sql(LATE)
    with psycopg.connect(test_dsn) as other:
        other.execute("SELECT job.hold(%s)", (SUBMISSION,))
        with pytest.raises(Later):
            apply(found[HANDLER], [EXPIRED], db, words)
    story.when(EXPIRED)
    assert states(story) == []


def test_the_timer_is_due_when_the_client_said(story: Story) -> None:
    stored(story, expires_s=60)
    ((left_s,),) = story.rows("SELECT extract(epoch FROM due_at - now())::int FROM bus.timers WHERE type = 'bulk.expired.v1'")
    assert 50 <= left_s <= 60
