"""job.schedule: jobs with equal needs share a task queue; one that can never run fails and says why."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event, matched, state_of, submitted, waiting

HANDLER = "job.schedule"


def test_jobs_with_equal_needs_share_a_queue_and_others_do_not(story: Story) -> None:
    waiting(story, 3)
    waiting(story, 1, CPUTime=200)
    counted = "SELECT count(*) FROM job.jobs WHERE state = 'Waiting' GROUP BY queue_id ORDER BY 1"
    assert story.rows(counted) == [(1,), (3,)]
    assert story.rows("SELECT count(*) FROM match.queues") == [(2,)]


def test_a_batch_of_equal_jobs_makes_one_queue(story: Story) -> None:
    submitted(story, 20)
    for job_id in range(1, 21):
        story.given("job.check", event("job.submitted.v1", job_id, {"job_id": job_id}))
    story.when(*[event("job.checked.v1", n, {"job_id": n, "attempt": 1}) for n in range(1, 21)])
    assert story.rows("SELECT count(*), count(DISTINCT queue_id) FROM job.jobs WHERE state = 'Waiting'") == [(20, 1)]


def test_a_job_whose_site_was_banned_meanwhile_fails_and_says_why(story: Story) -> None:
    submitted(story, Site="CLOUD.CNIC.cn").given("job.check", event("job.submitted.v1", 1, {"job_id": 1}))
    story.sql("UPDATE site.sites SET status = 'banned'")
    story.when(event("job.checked.v1", 1, {"job_id": 1, "attempt": 1}))
    story.then(("job.failed.v1", {"minor_status": "No candidate site"}))
    assert "CLOUD.CNIC.cn" in story.rows("SELECT application_status FROM job.jobs")[0][0]


def test_news_of_an_old_attempt_changes_nothing(story: Story) -> None:
    matched(story).when(event("job.checked.v1", 1, {"job_id": 1, "attempt": 1})).then()
    assert state_of(story)[0] == "Matched"
