"""job.report: only the job's own pilot, in its own attempt, moves it, and only as DIRAC's machine allows."""

from __future__ import annotations

import pytest

from handlers.job.report import decide
from tests.fix_house import Story
from tests.handlers.people import matched, report, state_of

HANDLER = "job.report"
JOB = {"job_id": 1, "state": "Running", "minor_status": "Application", "attempt": 2, "pilot_id": "p1"}
REPORT = {"job_id": 1, "attempt": 2, "pilot_id": "p1", "state": "Done", "minor_status": "Execution Complete"}


def test_the_running_jobs_own_pilot_may_say_done() -> None:
    assert decide(JOB, REPORT, "p1") is None


@pytest.mark.parametrize(
    ("job", "said", "by", "why"),
    [
        (None, REPORT, "p1", "no job"),
        (JOB, REPORT, "p2", "does not run on pilot p2"),
        (JOB, REPORT, None, "does not run on pilot None"),
        (JOB, REPORT | {"attempt": 1}, "p1", "attempt"),
        (JOB | {"state": "Done"}, REPORT, "p1", "Done"),
        (JOB | {"state": "Killed"}, REPORT | {"state": "Running"}, "p1", "Killed"),
        (JOB, REPORT | {"state": "Running", "minor_status": "Application"}, "p1", "Running"),
    ],
)
def test_everything_else_is_refused_with_a_reason(
    job: dict[str, object] | None, said: dict[str, object], by: str | None, why: str
) -> None:
    assert why in (decide(job, said, by) or "")


def test_a_whole_life_is_told_in_the_history(story: Story) -> None:
    matched(story)
    walk = [report("Running", "Job Initialization"), report("Running", "Application"), report("Completing", "Uploading")]
    story.when(*walk, report("Done", "Execution Complete", exit_code=0))
    story.then(("job.running.v1", {}), ("job.running.v1", {}), ("job.completing.v1", {}), ("job.done.v1", {"exit_code": 0}))
    states = [row[0] for row in story.rows("SELECT state FROM job.history WHERE job_id = 1 ORDER BY number")]
    assert states == ["Received", "Checking", "Waiting", "Matched", "Running", "Running", "Completing", "Done"]
    assert story.rows("SELECT count(*) FROM bus.timers") == [(0,)]


def test_a_late_report_changes_nothing_and_is_told_so(story: Story) -> None:
    matched(story).when(report("Running"), report("Done", "Execution Complete"))
    story.when(report("Failed", "late")).then(
        ("job.refused.v1", {"wanted_state": "Failed", "state": "Done"}), ("security.refused.v1", {"account": "pilot-p1"})
    )
    assert state_of(story)[0] == "Done"


def test_a_stolen_pilot_can_not_move_anothers_job(story: Story) -> None:
    matched(story).when(report("Running", pilot_id="p2")).then(
        ("job.refused.v1", {"state": "Matched"}), ("security.refused.v1", {"account": "pilot-p2"})
    )
    assert state_of(story)[0] == "Matched"


def test_how_its_payload_was_kept_apart_stays_with_the_job(story: Story) -> None:
    matched(story).when(report("Running", "Application", isolation="userns"))
    story.then(("job.running.v1", {"isolation": "userns"}))
    story.when(report("Done", "Execution Complete", exit_code=0))
    assert story.rows("SELECT isolation FROM job.jobs WHERE job_id = 1") == [("userns",)]
