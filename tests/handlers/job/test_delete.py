"""job.delete: what is over or waits is Deleted; what is on a pilot has to be killed before."""

from __future__ import annotations

from typing import Any

import pytest

from bus.event import Event
from tests.fix_house import Story
from tests.handlers.job.test_kill import counts, facts, many
from tests.handlers.people import communities, event, state_of, waiting

HANDLER = "job.delete"


def delete(*job_ids: int, by: str = "ada", **selection: Any) -> Event:
    """The request."""
    return event("job.delete.v1", "_", ({"job_ids": list(job_ids)} if job_ids else {}) | selection, authid=by)


@pytest.mark.parametrize("state", ["Received", "Checking", "Waiting", "Rescheduled", "Done", "Failed", "Killed"])
def test_what_is_on_no_pilot_is_deleted_once(story: Story, state: str) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = %s", state)
    story.when(delete(1), once=False).then(
        ("job.deleted.v1", {"job_id": 1, "attempt": 1, "minor_status": "Checking accounting"}),
        ("job.delete.v1.reply", {"results": [{"job_id": 1, "outcome": "deleted"}], "after": 1, "more": False}),
    )
    assert state_of(story)[0] == "Deleted"
    assert counts(story.when(delete(1), once=False)) == {"already": 1}
    assert story.rows("SELECT count(*) FROM job.history WHERE state = 'Deleted'") == [(1,)]


@pytest.mark.parametrize("state", ["Matched", "Running", "Completing", "Stalled", "Submitting"])
def test_what_is_on_a_pilot_or_not_confirmed_is_refused(story: Story, state: str) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = %s, pilot_id = 'p1'", state).when(delete(1), once=False)
    (refusal,) = story.answers[-1].data["refusals"]
    assert refusal["reason"].startswith(f"a job that is {state} ")
    assert state_of(story)[0] == state


def test_a_group_is_deleted_but_for_what_runs(story: Story) -> None:
    many(many(many(story, 120, "Failed"), 30, "Done"), 5, "Running", pilot_id="p1").when(delete(job_group="round16"), once=False)
    assert facts(story) == [("bulk.deleted.v1", [[1, 150]])]
    assert counts(story) == {"deleted": 150}
    assert story.rows("SELECT state, count(*) FROM job.jobs GROUP BY 1 ORDER BY 1") == [("Deleted", 150), ("Running", 5)]


def test_only_who_has_the_right_deletes(story: Story) -> None:
    communities(story, ada=["bes_user"], mona=["bes_watch"], max=["bes_admin"], eve=["juno_admin"])
    waiting(story)
    assert [counts(story.when(delete(1, by=name), once=False)) for name in ("mona", "eve")] == [{"refused": 1}] * 2
    assert counts(story.when(delete(1, by="max"), once=False)) == {"deleted": 1}
