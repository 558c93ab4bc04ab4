"""bulk.confirm: all jobs of a submission become Received in one step, or a reason is given and none does."""

from __future__ import annotations

import psycopg
import pytest

from bus.apply import Words, apply
from bus.discover import Handler
from bus.errors import Conflict, Later
from bus.event import Event
from tests.fix_house import Story
from tests.handlers.bulks import EXPIRED, confirm, confirmed, states, stored
from tests.handlers.people import SUBMISSION

HANDLER = "bulk.confirm"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def test_all_jobs_are_received_and_their_timer_is_gone(story: Story) -> None:
    stored(story).when(confirm(), once=False)
    told = {"submission": SUBMISSION, "first_job_id": 1, "count": 5}
    story.then(
        ("bulk.confirmed.v1", told | {"last_job_id": 5, "owner": "ada"}), ("bulk.confirm.v1.reply", told | {"state": "Received"})
    )
    assert story.rows("SELECT DISTINCT state, minor_status, version FROM job.jobs") == [("Received", "Job accepted", 2)]
    steps = "SELECT number, state FROM job.steps(ARRAY[3::bigint]) ORDER BY 1"
    assert story.rows(steps) == [(1, "Submitting"), (2, "Received")]
    assert story.rows("SELECT count(*) FROM bus.timers") == [(0,)]
    assert (story.answers[0].owner, story.answers[0].vo) == ("ada", "local")


def test_confirmed_twice_is_the_same_reply_and_nothing_else(story: Story) -> None:
    confirmed(story).when(confirm(), once=False)
    story.then(("bulk.confirm.v1.reply", {"first_job_id": 1, "count": 5, "state": "Received"}))
    assert story.rows("SELECT DISTINCT version FROM job.jobs") == [(2,)]


def test_confirmed_twice_in_one_batch_is_confirmed_once(story: Story) -> None:
    stored(story).when(confirm(), confirm(), once=False)
    assert [answer.type for answer in story.answers] == ["bulk.confirmed.v1", "bulk.confirm.v1.reply", "bulk.confirm.v1.reply"]


REFUSED = [
    (confirm(4), "conflict", f"submission {SUBMISSION} has 5 jobs and not 4: all are confirmed together, or none is"),
    (confirm(4, first_job_id=2), "conflict", f"submission {SUBMISSION} begins with job 1 and not with job 2"),
    (confirm(authid="bob"), "not_found", f"you have no submission {SUBMISSION}"),
    (confirm(submission=OTHER), "not_found", f"you have no submission {OTHER}"),
]


@pytest.mark.parametrize(("asked", "code", "reason"), REFUSED, ids=["a part", "other ids", "another's", "unknown"])
def test_what_is_not_the_whole_of_ones_own_is_refused_whole(story: Story, asked: Event, code: str, reason: str) -> None:
    stored(story).when(asked, once=False).then(("request.refused.v1.reply", {"code": code, "reason": reason}))
    assert states(story) == [("Submitting", 5)]


def test_what_has_expired_is_refused_and_says_what_to_do(story: Story) -> None:
    stored(story).sql("UPDATE job.submissions SET expires_at = now()").given("bulk.expire", EXPIRED)
    story.when(confirm(), once=False).then(("request.refused.v1.reply", {"code": "conflict"}))
    assert "is removed; submit it again, by the same key" in story.answers[0].data["reason"]
    assert states(story) == []


def test_a_set_of_which_a_job_was_killed_is_not_confirmed_in_part(story: Story) -> None:
    stored(story).sql("UPDATE job.jobs SET state = 'Killed' WHERE job_id = 3")
    story.when(confirm(), once=False).then(("request.refused.v1.reply", {"code": "conflict"}))
    assert "1 jobs of submission" in story.answers[0].data["reason"]
    assert states(story) == [("Killed", 1), ("Submitting", 4)]


def test_a_job_that_is_moved_in_between_lets_all_be_read_and_decided_again(
    story: Story, db: psycopg.Connection[object], found: dict[str, Handler], words: Words
) -> None:
    stored(story).sql("""CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER skip BEFORE UPDATE ON job.jobs FOR EACH ROW WHEN (NEW.job_id = 3) EXECUTE FUNCTION skip()""")
    with pytest.raises(Conflict):
        apply(found[HANDLER], [confirm()], db, words, once=False)
    assert states(story) == [("Submitting", 5)]


def test_while_another_process_moves_the_submission_it_is_tried_again_later(
    story: Story, db: psycopg.Connection[object], test_dsn: str, found: dict[str, Handler], words: Words
) -> None:
    stored(story)
    with psycopg.connect(test_dsn) as other:
        other.execute("SELECT job.hold(%s)", (SUBMISSION,))
        with pytest.raises(Later):
            apply(found[HANDLER], [confirm()], db, words, once=False)
    story.when(confirm(), once=False)
    assert states(story) == [("Received", 5)]
