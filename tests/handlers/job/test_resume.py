"""job.resume: when DIRAC's delay is over, rescheduled jobs wait again, a few or many at once."""

from __future__ import annotations

import uuid

from bus.event import Event
from tests.fix_house import Story
from tests.handlers.job.test_kill import many
from tests.handlers.people import event, match_request, state_of, submitted, waiting

HANDLER = "job.resume"


def ended(*ranges: list[int]) -> Event:
    """The timer's event."""
    return event("job.hold_ended.v1", ranges[0][0], {"ranges": list(ranges)})


def test_a_few_jobs_are_told_one_by_one_and_matched(story: Story) -> None:
    waiting(story, 3, JobGroup="round16").sql("UPDATE job.jobs SET state = 'Rescheduled', attempt = 2")
    story.when(ended([1, 2])).then(
        ("job.waiting.v1", {"job_id": 1, "attempt": 2, "priority": 1, "job_group": "round16"}),
        ("job.waiting.v1", {"job_id": 2, "attempt": 2}),
    )
    assert story.rows("SELECT state FROM job.jobs ORDER BY job_id") == [("Waiting",), ("Waiting",), ("Rescheduled",)]
    story.given("match.request", match_request())
    assert state_of(story)[0] == "Matched"


def test_of_many_the_first_of_each_task_queue_is_told(story: Story) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = 'Rescheduled'")
    ((queue_id,),) = story.rows("SELECT queue_id FROM match.queues")
    many(story, 150, "Rescheduled", queue_id=queue_id)
    story.when(ended([1, 151])).then(("job.waiting.v1", {"job_id": 1, "queue_id": queue_id}))
    assert story.rows("SELECT state, count(*) FROM job.jobs GROUP BY 1") == [("Waiting", 151)]


def test_a_job_that_is_rescheduled_no_more_takes_no_notice(story: Story) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = 'Killed'")
    story.when(ended([1, 1])).then()
    assert state_of(story)[0] == "Killed"


def test_a_job_that_was_never_scheduled_is_left_to_be(story: Story) -> None:
    submitted(story).sql("UPDATE job.jobs SET state = 'Rescheduled', attempt = 2")
    story.when(ended([1, 1])).then(("job.checked.v1", {"job_id": 1, "attempt": 2}))
    story.given("job.schedule", event("job.checked.v1", 1, story.answers[0].data))
    assert state_of(story) == ("Waiting", "Pilot Agent Submission", 2)


def test_the_same_news_twice_changes_nothing(story: Story) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = 'Rescheduled'")
    news = ended([1, 1])
    story.when(news).when(event("job.hold_ended.v1", uuid.uuid4().hex, news.data)).then()
    assert story.rows("SELECT count(*) FROM job.history WHERE source = 'job.resume'") == [(1,)]
