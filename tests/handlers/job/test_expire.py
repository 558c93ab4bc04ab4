"""job.expire: a job that its pilot never started waits again as a new attempt, three times at most."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg

from bus.apply import Words, apply
from bus.discover import Handler
from handlers.job.expire import decide
from tests.bus.test_life_of_an_event import until
from tests.fix_house import Story
from tests.handlers.people import event, matched, report, state_of
from tests.handlers.pilot.test_beat import SILENT, beat, running

HANDLER = "job.expire"
EXPIRED = event("job.match_expired.v1", 1, {"job_id": 1, "attempt": 1})


def test_a_job_is_rescheduled_three_times_and_then_fails() -> None:
    job = {"state": "Matched", "attempt": 1, "kill_ordered": False}
    assert decide(job | {"reschedules": 2}, 1)[0] == "Rescheduled"
    assert decide(job | {"reschedules": 3}, 1)[0] == "Failed"


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


def fired(story: Story) -> Story:
    """The timer of the lease of job 1 is due, and gone."""
    return story.sql("DELETE FROM bus.timers WHERE timer = 'lease/1'")


LEASE_OVER = event("job.lease_expired.v1", 1, {"job_id": 1, "attempt": 1})


def test_a_running_job_whose_lease_ends_stalls_and_begins_a_new_attempt(story: Story) -> None:
    fired(running(story)).when(LEASE_OVER).then(
        ("job.kill_requested.v1", {"pilot_id": "p1", "attempt": 1}),
        ("job.stalled.v1", {"attempt": 1, "minor_status": "Job stalled: pilot not running"}),
        ("job.rescheduled.v1", {"attempt": 2}),
    )
    assert state_of(story) == ("Rescheduled", "Job Rescheduled", 2)
    states = [state for (state,) in story.rows("SELECT state FROM job.history ORDER BY number")]
    assert states[-3:] == ["Running", "Stalled", "Rescheduled"]


def test_the_lost_pilots_late_words_change_nothing(story: Story) -> None:
    fired(running(story)).given("job.expire", LEASE_OVER)
    story.given("job.schedule", event("job.rescheduled.v1", 1, {"job_id": 1, "attempt": 2}))
    story.given("job.report", report("Done", "Execution Complete")).given("pilot.beat", beat({"job_id": 1, "attempt": 1}))
    assert state_of(story) == ("Waiting", "Pilot Agent Submission", 2)
    assert story.rows("SELECT timer FROM bus.timers WHERE timer ~ '^lease/'") == []


def test_a_lease_that_was_renewed_meanwhile_holds(story: Story) -> None:
    fired(running(story)).given("pilot.beat", beat({"job_id": 1, "attempt": 1})).when(LEASE_OVER).then()
    assert state_of(story)[0] == "Running"


def test_a_start_deadline_that_a_beat_has_overtaken_takes_nothing_back(story: Story) -> None:
    matched(story).given("pilot.beat", beat({"job_id": 1, "attempt": 1})).when(EXPIRED).then()
    assert state_of(story)[0] == "Matched"


def test_a_site_may_want_its_lost_jobs_to_fail(story: Story) -> None:
    fired(running(story)).sql("UPDATE site.sites SET when_lost = 'fail'").when(LEASE_OVER).then(
        ("job.kill_requested.v1", {}),
        ("job.stalled.v1", {}),
        ("job.failed.v1", {"minor_status": "Job stalled: pilot not running"}),
    )
    assert state_of(story) == ("Failed", "Job stalled: pilot not running", 1)


def test_a_stalled_job_is_not_stalled_again_and_a_killed_one_is_killed(story: Story) -> None:
    running(story).sql("DELETE FROM bus.timers WHERE timer = 'beat/p1'").given("pilot.lose", SILENT)
    story.given("job.kill", event("job.kill.v1", "_", {"job_ids": [1]}))
    fired(story).when(LEASE_OVER).then(("job.kill_requested.v1", {}), ("job.killed.v1", {}))
    assert state_of(story)[0] == "Killed"


def test_a_beat_that_is_being_taken_when_the_lease_ends_wins_or_gets_none(
    story: Story, test_dsn: str, found: dict[str, Handler], words: Words
) -> None:
    fired(running(story))
    with psycopg.connect(test_dsn) as beating, psycopg.connect(test_dsn) as expiring, ThreadPoolExecutor() as pool:
        asked = """SELECT lease_s FROM pilot.beat('p1', 'CLOUD.CNIC.cn', '{}', '[{"job_id": 1, "attempt": 1}]')"""
        leases = beating.execute(asked).fetchall()
        taken_back = pool.submit(apply, found["job.expire"], [LEASE_OVER], expiring, words)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        until(lambda: story.rows(waits, expiring.info.backend_pid) == [(1,)])
        beating.commit()
        applied, _ = taken_back.result(20)
    assert (len(leases), applied[0].answers) == (1, ())


def test_a_beat_that_comes_while_the_job_is_taken_back_gets_no_lease(
    story: Story, test_dsn: str, found: dict[str, Handler], words: Words
) -> None:
    fired(running(story))
    with psycopg.connect(test_dsn) as beating, psycopg.connect(test_dsn) as expiring, ThreadPoolExecutor() as pool:
        with expiring.transaction():
            apply(found["job.expire"], [LEASE_OVER], expiring, words)
            asked = beat({"job_id": 1, "attempt": 1})
            answered = pool.submit(apply, found["pilot.beat"], [asked], beating, words, once=False)
            waits = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
            until(lambda: story.rows(waits, beating.info.backend_pid) == [(1,)])
        applied, _ = answered.result(20)
    assert applied[0].answers[-1].data["leases"] == []
