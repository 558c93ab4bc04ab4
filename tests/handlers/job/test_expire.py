"""job.expire: a job that its pilot never started waits again as a new attempt, three times at most."""

from __future__ import annotations

from handlers.job.expire import decide
from tests.fix_house import Story
from tests.handlers.people import event, matched, report, state_of

HANDLER = "job.expire"
EXPIRED = event("job.match_expired.v1", 1, {"job_id": 1, "attempt": 1})


def test_a_job_is_rescheduled_three_times_and_then_fails() -> None:
    job = {"state": "Matched", "attempt": 1, "kill_ordered": False}
    assert decide(job | {"reschedules": 2}, 1) == "Rescheduled"
    assert decide(job | {"reschedules": 3}, 1) == "Failed"


def test_a_match_arms_a_timer_and_its_event_starts_a_new_attempt(story: Story) -> None:
    matched(story)
    assert story.rows("SELECT timer, type FROM bus.timers") == [("match/1", "job.match_expired.v1")]
    story.when(EXPIRED).then(
        ("job.kill_requested.v1", {"pilot_id": "p1", "attempt": 1}), ("job.rescheduled.v1", {"job_id": 1, "attempt": 2})
    )
    assert state_of(story) == ("Rescheduled", "Job Rescheduled", 2)


def test_the_new_attempt_waits_again_and_the_old_pilot_has_lost_it(story: Story) -> None:
    matched(story).given("job.expire", EXPIRED)
    story.given("job.schedule", event("job.rescheduled.v1", 1, {"job_id": 1, "attempt": 2}))
    assert state_of(story)[0] == "Waiting"
    story.given("job.report", report("Running"))
    assert state_of(story)[0] == "Waiting"


def test_a_job_that_was_to_be_killed_does_not_wait_again(story: Story) -> None:
    matched(story).given("job.kill", event("job.kill.v1", "_", {"job_ids": [1]}))
    story.when(EXPIRED).then(("job.kill_requested.v1", {}), ("job.killed.v1", {"job_id": 1, "attempt": 1}))
    assert state_of(story)[0] == "Killed"


def test_a_job_that_was_started_meanwhile_is_left_alone(story: Story) -> None:
    matched(story).given("job.report", report("Running"))
    story.when(EXPIRED).then()
    assert state_of(story)[0] == "Running"
