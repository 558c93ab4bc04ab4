"""bulk.schedule: a part of a submission joins its task queues in one step, and what no site can run any more fails."""

from __future__ import annotations

from typing import Any

from handlers.bulk import schedule
from tests.fix_house import Story
from tests.handlers.bulks import SWEEP, checked, confirm, confirmed, states, submit, waiting
from tests.handlers.people import SUBMISSION, event, submitted
from tests.handlers.people import waiting as waiting_one

HANDLER = "bulk.schedule"
VARIED = SWEEP | {"CPUTime": "%s", "ParameterStart": 300, "ParameterStep": 100}
STEPS = "SELECT number, state FROM job.steps(ARRAY[%s::bigint]) ORDER BY 1"


def prepared(story: Story, **asked: Any) -> Story:
    """Five jobs of ada's are Received and their queues are there."""
    confirmed(story, **asked)
    return story.given("bulk.check", event("bulk.confirmed.v1", SUBMISSION, {"submission": SUBMISSION}))


def test_all_wait_in_their_queues_and_the_event_counts_them(story: Story) -> None:
    prepared(story, description=VARIED).when(checked())
    ((first,), (second,)) = story.rows("SELECT queue_id FROM match.queues ORDER BY (requirements->>'CPUTime')::int")
    queues = [{"queue_id": first, "priority": 1, "count": 1}, {"queue_id": second, "priority": 1, "count": 4}]
    (event,) = story.answers
    assert sorted(event.data["queues"], key=lambda queue: queue["count"]) == queues
    assert (event.type, event.owner, event.vo) == ("bulk.waiting.v1", "ada", "local")
    assert story.rows("SELECT queue_id FROM job.jobs ORDER BY job_id") == [(first,), *[(second,)] * 4]
    assert story.rows("SELECT DISTINCT state, minor_status, version FROM job.jobs") == [("Waiting", "Pilot Agent Submission", 4)]
    assert story.rows(STEPS, 3) == [(1, "Submitting"), (2, "Received"), (3, "Checking"), (4, "Waiting")]


def test_a_repeat_changes_nothing(story: Story) -> None:
    waiting(story).when(checked()).then()
    assert story.rows("SELECT DISTINCT version FROM job.jobs") == [(4,)]


def test_a_part_is_only_that_part(story: Story) -> None:
    prepared(story).when(checked(2, 3))
    assert states(story) == [("Received", 3), ("Waiting", 2)]


def test_jobs_of_one_submission_and_of_another_share_a_queue(story: Story) -> None:
    waiting_one(story, 2)
    story.given("bulk.submit", submit()).given("bulk.confirm", confirm(5, 3))
    story.given("bulk.check", event("bulk.confirmed.v1", SUBMISSION, {"submission": SUBMISSION})).when(checked(3, 7))
    assert story.rows("SELECT queue_id, count(*) FROM job.jobs GROUP BY 1") == [(1, 7)]
    assert states(story) == [("Waiting", 7)]


def test_a_killed_job_stays_so_and_has_no_step_more(story: Story) -> None:
    prepared(story)
    story.sql("SELECT job.move(3, 2, 'Killed', 'Marked for termination', NULL, now(), 'job.kill', NULL)").when(checked())
    assert states(story) == [("Killed", 1), ("Waiting", 4)]
    assert story.rows(STEPS, 3) == [(1, "Submitting"), (2, "Received"), (3, "Killed")]
    assert story.rows(STEPS, 4)[-1] == (4, "Waiting")


def test_what_no_site_can_run_any_more_fails_with_the_reason_and_the_others_wait(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', 8, NULL, NULL, '{}', now())")
    prepared(story, description=SWEEP | {"Site": "%s", "Parameters": ["A.B.ch", "CLOUD.CNIC.cn"] * 2 + ["A.B.ch"]})
    story.sql("UPDATE site.sites SET status = 'banned' WHERE site = 'A.B.ch'").when(checked())
    story.then(
        ("bulk.failed.v1", {"ranges": [[1, 1], [3, 3], [5, 5]], "count": 3, "minor_status": "No candidate site"}),
        ("bulk.waiting.v1", {"submission": SUBMISSION}),
    )
    assert "A.B.ch" in story.answers[0].data["application_status"]
    assert states(story) == [("Failed", 3), ("Waiting", 2)]
    assert story.rows(STEPS, 5)[-2:] == [(3, "Checking"), (4, "Failed")]


def test_a_killed_job_does_not_fail_as_well(story: Story) -> None:
    story.sql("INSERT INTO site.sites VALUES ('A.B.ch', '', 'active', 8, NULL, NULL, '{}', now())")
    prepared(story, description=SWEEP | {"Site": "A.B.ch"})
    story.sql("SELECT job.move(3, 2, 'Killed', 'Marked for termination', NULL, now(), 'job.kill', NULL)")
    story.sql("UPDATE site.sites SET status = 'banned' WHERE site = 'A.B.ch'").when(checked())
    story.then(("bulk.failed.v1", {"ranges": [[1, 2], [4, 5]], "count": 4}))
    assert states(story) == [("Failed", 4), ("Killed", 1)]


def test_an_event_names_no_more_queues_than_it_can_carry(story: Story) -> None:
    assert schedule.MOST_QUEUES * 120 < 65_536, "an event of so many queues would be larger than an event may be"
    prepared(story, description=VARIED | {"Parameters": 5, "ParameterStep": 2000}).when(checked())
    assert sum(queue["count"] for answer in story.answers for queue in answer.data["queues"]) == 5


def test_news_of_what_was_never_confirmed_changes_nothing(story: Story) -> None:
    submitted(story).when(checked()).then()
