"""pilot.lose: a pilot that misses beats is Unknown and its jobs are Stalled; an hour later it is given up."""

from __future__ import annotations

from handlers.pilot.lose import decide
from tests.fix_house import Story
from tests.handlers.people import event, report, state_of
from tests.handlers.pilot.test_beat import SILENT, beat, booted, running

HANDLER = "pilot.lose"
FIRED = "DELETE FROM bus.timers WHERE timer = 'beat/p1'"  # as the clock does


def test_who_has_beaten_since_is_not_lost() -> None:
    assert decide({"heard": True, "state": "Running"}) == ""
    assert decide(None) == ""


def test_its_jobs_stall_and_their_owner_is_told(story: Story) -> None:
    running(story).sql(FIRED).when(SILENT).then(
        ("pilot.lost.v1", {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "state": "Unknown", "jobs": 1}),
        ("job.stalled.v1", {"job_id": 1, "attempt": 1, "minor_status": "Job stalled: pilot not running"}),
    )
    assert story.answers[1].owner == "ada"
    assert state_of(story)[0] == "Stalled"
    assert story.rows("SELECT state FROM pilot.pilots") == [("Unknown",)]


def test_a_beat_in_time_keeps_all_as_it_is(story: Story) -> None:
    running(story).sql(FIRED).given("pilot.beat", beat({"job_id": 1, "attempt": 1})).when(SILENT).then()
    assert state_of(story)[0] == "Running"


def test_after_an_hour_it_is_given_up(story: Story) -> None:
    booted(story).given("pilot.beat", beat()).sql(FIRED).given("pilot.lose", SILENT)
    assert story.rows("SELECT timer, type FROM bus.timers") == [("beat/p1", "pilot.silent.v1")]
    story.sql(FIRED).when(SILENT).then(("pilot.lost.v1", {"state": "Aborted", "jobs": 0}))
    assert story.rows("SELECT state FROM pilot.pilots") == [("Aborted",)]
    assert story.rows("SELECT pilot_id FROM pilot.beats") == []


def test_a_stalled_job_that_reports_its_end_is_done(story: Story) -> None:
    running(story).sql(FIRED).given("pilot.lose", SILENT).given("job.report", report("Done", "Execution Complete"))
    assert state_of(story)[0] == "Done"


def test_who_was_never_heard_of_is_not_lost(story: Story) -> None:
    story.when(event("pilot.silent.v1", "p9", {"pilot_id": "p9"}, authid="")).then()


def test_a_pilot_that_has_left_is_forgotten_and_not_lost_again_and_again(story: Story) -> None:
    booted(story).given("pilot.beat", beat()).sql(FIRED)
    story.sql("UPDATE pilot.pilots SET state = 'Done'")  # its leaving was kept while its last beat was taken
    assert decide({"heard": False, "state": "Done"}) == "Done"
    story.when(SILENT).then()
    assert story.rows("SELECT pilot_id FROM pilot.beats") == []
    assert story.rows("SELECT timer FROM bus.timers") == []
