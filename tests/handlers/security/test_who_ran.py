"""security.who_ran: whose jobs ran on a node at a moment, from events alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

from bus.event import now
from tests.fix_house import Story
from tests.handlers.people import event, matched, report

HANDLER = "security.who_ran"
STORED = """INSERT INTO bus.events (event_id, type, subject, body, recorded_at)
SELECT gen_random_uuid(), 'pilot.reported.v1', 'p1',
       json_build_object('data', json_build_object('pilot_id', 'p1', 'details', json_build_object('host', 'wn1'))),
       now() - interval '1 hour'"""


def asked(story: Story, host: str = "wn1", at: str = "") -> list[dict[str, Any]]:
    """What root is told."""
    story.when(event("security.who_ran.v1", "_", {"host": host, "at": at or now()}, authid="root"), once=False)
    found: list[dict[str, Any]] = story.answers[0].data["jobs"]
    return found


def test_the_job_on_the_node_is_named_also_when_its_rows_are_gone(story: Story) -> None:
    matched(story).sql(STORED)
    story.sql("DELETE FROM job.history").sql("DELETE FROM match.claims").sql("DELETE FROM job.jobs")
    (job,) = asked(story)
    assert (job["job_id"], job["owner"], job["vo"], job["pilot_id"], job["site"]) == (1, "ada", "local", "p1", "CLOUD.CNIC.cn")
    assert "ended" not in job
    assert asked(story, "another") == []


def test_a_job_that_was_over_by_then_is_not_named(story: Story) -> None:
    matched(story).sql(STORED).given("job.report", report("Running"), report("Done", "Execution Complete"))
    moment = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)).isoformat()
    assert asked(story, at=moment) == []
    before = "UPDATE bus.events SET recorded_at = recorded_at - interval '10 minutes' WHERE type = 'job.matched.v1'"
    (job,) = asked(story.sql(before), at=(dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)).isoformat())
    assert job["state"] == "Done"
    assert job["began"] < job["ended"]
