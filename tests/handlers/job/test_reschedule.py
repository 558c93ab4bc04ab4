"""job.reschedule: a new attempt, three times at most, held as long as DIRAC holds it; the attempt before is over."""

from __future__ import annotations

from typing import Any

import pytest

from bus.event import Event
from handlers.job.reschedule import LEGAL
from schemas.rules.job_states import STATES
from tests.fix_house import Story
from tests.handlers.job.test_kill import counts, facts, many
from tests.handlers.people import communities, event, matched, report, state_of, waiting

HANDLER = "job.reschedule"


def reschedule(*job_ids: int, by: str = "ada", **selection: Any) -> Event:
    """The request."""
    return event("job.reschedule.v1", "_", ({"job_ids": list(job_ids)} if job_ids else {}) | selection, authid=by)


def holds(story: Story) -> list[tuple[Any, ...]]:
    """The timers of holds: after how many seconds, for which jobs."""
    return story.rows(
        """SELECT round(extract(epoch FROM due_at - clock_timestamp()) / 10) * 10, data->'ranges' FROM bus.timers
        WHERE type = 'job.hold_ended.v1' ORDER BY 1"""
    )


def failed(story: Story) -> Story:
    """Job 1 has run and Failed, with an output."""
    matched(story).given("job.report", report("Running"))
    output = {"digest": "ab" * 32, "size_bytes": 10}
    return story.given("job.report", report("Failed", "Application Finished With Errors", exit_code=3, output=output))


def test_a_failed_job_begins_its_next_attempt_and_is_held(story: Story) -> None:
    failed(story).when(reschedule(1), once=False)
    told = {"job_id": 1, "attempt": 2, "minor_status": "Job Rescheduled", "delay_s": 180}
    results = [{"job_id": 1, "outcome": "rescheduled"}]
    story.then(("job.rescheduled.v1", told), ("job.reschedule.v1.reply", {"results": results}))
    assert state_of(story) == ("Rescheduled", "Job Rescheduled", 2)
    row = story.rows("SELECT application_status, reschedules, pilot_id, site, exit_code, output_digest FROM job.jobs")
    assert row == [("On Hold: after rescheduling 1", 1, None, None, None, None)]
    assert holds(story) == [(180, [[1, 1]])]


def test_job_schedule_leaves_a_held_job_to_its_timer(story: Story) -> None:
    failed(story).when(reschedule(1), once=False)
    story.given("job.schedule", story.answers[0])
    assert state_of(story)[0] == "Rescheduled"
    story.given("job.resume", event("job.hold_ended.v1", 1, {"ranges": [[1, 1]]}))
    assert state_of(story) == ("Waiting", "Pilot Agent Submission", 2)


def test_the_delays_are_those_of_dirac_and_the_fourth_is_refused(story: Story) -> None:
    failed(story)
    delays = []
    for _ in range(3):
        story.sql("UPDATE job.jobs SET state = 'Failed'").when(reschedule(1), once=False)
        delays.append(story.answers[0].data["delay_s"])
    assert delays == [180, 300, 600]
    story.sql("UPDATE job.jobs SET state = 'Failed'").when(reschedule(1), once=False)
    refusals = [{"reason": "Maximum of reschedulings reached: 3", "count": 1, "first_job_id": 1}]
    story.then(("job.reschedule.v1.reply", {"refusals": refusals}))
    assert state_of(story) == ("Failed", "Job Rescheduled", 4)


def test_asking_twice_reschedules_once(story: Story) -> None:
    failed(story)
    assert [counts(story.when(reschedule(1), once=False)) for _ in range(2)] == [{"rescheduled": 1}, {"already": 1}]
    assert state_of(story)[2] == 2
    assert len(holds(story)) == 1


def test_a_running_job_is_taken_from_its_pilot_which_is_told_to_end_it(story: Story) -> None:
    matched(story).given("job.report", report("Running"))
    story.when(reschedule(1), once=False).then(
        ("job.kill_requested.v1", {"job_id": 1, "attempt": 1, "pilot_id": "p1", "requested_by": "ada"}),
        ("job.rescheduled.v1", {"job_id": 1, "attempt": 2}),
        ("job.reschedule.v1.reply", {}),
    )
    assert story.rows('SELECT pilot_id, "order", attempt FROM pilot.orders') == [("p1", "kill", 1)]
    assert story.rows("SELECT count(*) FROM bus.timers WHERE timer ~ '^(match|lease)/'") == [(0,)]
    story.given("job.report", report("Done", "Execution Complete"))
    assert state_of(story)[0] == "Rescheduled"
    story.given("match.release", *[fact for fact in story.answers if fact.type == "job.rescheduled.v1"])
    assert story.rows("SELECT count(*) FROM match.claims WHERE released_at IS NULL") == [(0,)]


@pytest.mark.parametrize("state", [state for state in STATES if state not in (*LEGAL, "Rescheduled")])
def test_an_illegal_move_is_refused_with_its_reason(story: Story, state: str) -> None:
    waiting(story).sql("UPDATE job.jobs SET state = %s", state).when(reschedule(1), once=False)
    (refusal,) = story.answers[-1].data["refusals"]
    assert refusal["reason"].startswith(f"a job that is {state} ")
    assert state_of(story)[0] == state


def test_of_a_group_what_has_failed_is_rescheduled_and_told_as_ranges(story: Story) -> None:
    many(many(many(story, 100, "Failed"), 50, "Running", pilot_id="p1"), 50, "Failed").when(
        reschedule(job_group="round16"), once=False
    )
    assert facts(story) == [("bulk.rescheduled.v1", [[1, 100], [151, 200]])]
    assert counts(story) == {"rescheduled": 150}
    assert holds(story) == [(180, [[1, 100], [151, 200]])]
    assert story.rows("SELECT state, count(*) FROM job.jobs GROUP BY 1 ORDER BY 1") == [("Rescheduled", 150), ("Running", 50)]


def test_rights_are_those_of_dirac(story: Story) -> None:
    communities(story, ada=["bes_user"], mona=["bes_watch"], max=["bes_admin"])
    failed(story)
    assert counts(story.when(reschedule(1, by="mona"), once=False)) == {"refused": 1}
    assert counts(story.when(reschedule(1, by="max"), once=False)) == {"rescheduled": 1}
