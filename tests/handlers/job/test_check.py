"""job.check: a received job is checked once; late news changes nothing."""

from __future__ import annotations

from handlers.job.check import decide
from tests.fix_house import Story
from tests.handlers.people import event, matched, state_of, submitted

HANDLER = "job.check"


def test_only_a_job_that_may_be_checked_is() -> None:
    assert decide({"state": "Received", "attempt": 1})
    assert not decide({"state": "Running", "attempt": 1})
    assert not decide(None)


def test_a_received_job_becomes_checked(story: Story) -> None:
    submitted(story).when(event("job.submitted.v1", 1, {"job_id": 1})).then(("job.checked.v1", {"job_id": 1, "attempt": 1}))
    assert state_of(story) == ("Checking", "JobSanity", 1)


def test_late_news_of_a_matched_job_changes_nothing(story: Story) -> None:
    matched(story).when(event("job.submitted.v1", 1, {"job_id": 1})).then()
    assert state_of(story)[0] == "Matched"
