"""match.request: jobs that share a template are given whole, each filled for its place; a bulk's event wakes who waits."""

from __future__ import annotations

import uuid
from typing import Any

from schemas.rules.description import normalise
from schemas.rules.parametric import expand
from tests.fix_house import Story
from tests.handlers.bulks import SWEEP, Shelf, checked, confirm, confirmed, ref, submit
from tests.handlers.bulks import waiting as bulk_waiting
from tests.handlers.match.matcher import Matcher
from tests.handlers.people import SITE, SUBMISSION, event, match_request, put, report

HANDLER = "match.request"
TABLE = b"Energy,Name\n3.09,jpsi\n3.68,psip\n"


def given(story: Story) -> list[dict[str, Any]]:
    """The descriptions of the jobs that were given, by their ids."""
    jobs = [answer.data["job"] for answer in story.answers if answer.type == "match.request.v1.reply"]
    return [job["description"] for job in sorted(jobs, key=lambda job: job["job_id"])]


def test_each_pilot_gets_the_description_of_its_jobs_place(story: Story) -> None:
    bulk_waiting(story).asked(*(match_request(f"p{n}") for n in range(1, 6)))
    assert given(story) == list(expand(normalise(SWEEP)))


def test_a_row_of_a_table_comes_with_its_cells(story: Story) -> None:
    filled = {"Executable": "sim.sh", "Arguments": "%(Energy)s", "JobName": "%(Name)s_%n"}
    asked = submit(description=filled, dataref=ref(TABLE, "table"))
    story.sql(SITE).given("bulk.submit", asked, hands=Shelf(TABLE)).given("bulk.confirm", confirm(2))
    story.given("bulk.check", event("bulk.confirmed.v1", SUBMISSION, {"submission": SUBMISSION}))
    story.given("bulk.schedule", checked(last=2)).asked(match_request("p1"), match_request("p2"))
    assert [(job["Arguments"], job["JobName"]) for job in given(story)] == [("3.09", "jpsi_0"), ("3.68", "psip_1")]


def test_a_lost_reply_and_a_retry_give_the_same_job(story: Story) -> None:
    request_id = str(uuid.uuid4())
    bulk_waiting(story).asked(match_request("p1", request_id))
    first = given(story)
    story.asked(match_request("p1", request_id))
    assert given(story) == first


def test_the_input_sandbox_and_the_type_are_those_of_the_place(story: Story) -> None:
    sweep = SWEEP | {"InputSandbox": ["SB:%s"], "Parameters": ["ab" * 32, "cd" * 32], "JobType": "Merge"}
    bulk_waiting(put(story, "ab" * 32, "cd" * 32), 2, description=sweep).asked(match_request("p1"), match_request("p2"))
    inputs = [answer.data["job"]["input"]["digest"] for answer in story.answers if answer.type == "match.request.v1.reply"]
    assert sorted(inputs) == ["ab" * 32, "cd" * 32]
    assert story.rows("SELECT DISTINCT job_type FROM match.claims") == [("Merge",)]


def test_the_event_of_a_bulk_wakes_pilots_that_wait(story: Story, matcher: Matcher) -> None:
    confirmed(story)
    story.given("bulk.check", event("bulk.confirmed.v1", SUBMISSION, {"submission": SUBMISSION}))
    assert matcher.asked(match_request("p1"), match_request("p2")) == {}
    story.given("bulk.schedule", checked())
    ((told,),) = story.rows("SELECT body->'data' FROM bus.events WHERE type = 'bulk.waiting.v1'")
    assert matcher.asked(wakes=(event("bulk.waiting.v1", SUBMISSION, told),)) == {"p1": 1, "p2": 2}


def test_a_job_of_a_bulk_that_is_rescheduled_waits_again_in_its_queue(story: Story) -> None:
    bulk_waiting(story).asked(match_request("p1")).given("job.report", report("Running"))
    story.sql("UPDATE job.jobs SET state = 'Rescheduled', attempt = 2 WHERE job_id = 1")
    story.given(
        "job.schedule", event("job.rescheduled.v1", 1, {"job_id": 1, "attempt": 2, "minor_status": "", "application_status": ""})
    )
    assert story.rows("SELECT state, attempt, count(*) OVER () FROM job.jobs WHERE queue_id = 1 ORDER BY job_id LIMIT 1") == [
        ("Waiting", 2, 5)
    ]
