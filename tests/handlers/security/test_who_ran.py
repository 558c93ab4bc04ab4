"""security.who_ran: whose jobs ran on a node at a moment, from events alone."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import psycopg

from bus.event import now
from bus.sql import statements
from tests.fix_house import ROOT, Story
from tests.handlers.people import event, matched, report

HANDLER = "security.who_ran"
STORED = """INSERT INTO bus.events (event_id, type, subject, body, recorded_at)
SELECT gen_random_uuid(), 'pilot.reported.v1', 'p1',
       json_build_object('data', json_build_object('pilot_id', 'p1', 'details', json_build_object('host', 'wn1'))),
       now() - interval '1 hour'"""

ENROLLED = """INSERT INTO bus.events (event_id, type, subject, body, recorded_at)
SELECT gen_random_uuid(), 'pilot.enrolled.v1', 'p1', '{"data": {"pilot_id": "p1", "peer": "192.0.2.7"}}',
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
    assert "isolation" not in job


def test_how_a_job_was_kept_apart_is_told(story: Story) -> None:
    matched(story).sql(STORED).given("job.report", report("Running", isolation="userns"))
    assert [job["isolation"] for job in asked(story)] == ["userns"]


def test_a_node_is_known_by_the_address_from_which_its_pilot_enrolled(story: Story) -> None:
    matched(story).sql(ENROLLED)
    assert [job["job_id"] for job in asked(story, "192.0.2.7")] == [1]
    assert asked(story) == []


def test_more_than_fits_is_said_to_be_more(story: Story) -> None:
    matched(story).sql(STORED).sql(
        """INSERT INTO bus.events (event_id, type, subject, body, recorded_at)
        SELECT gen_random_uuid(), type, n::text, replace(body::text, '"job_id":1,', '"job_id":' || n || ',')::json, recorded_at
        FROM bus.events, generate_series(2, 201) n WHERE type = 'job.matched.v1'"""
    )
    jobs = asked(story)
    assert 0 < len(jobs) <= 200
    assert story.answers[0].data["more"] is True


def test_among_thousands_only_the_events_of_the_nodes_pilots_are_read(db: psycopg.Connection[Any]) -> None:
    db.execute(
        """INSERT INTO bus.events (event_id, type, subject, body, recorded_at)
        SELECT gen_random_uuid(), (ARRAY['job.matched.v1', 'pilot.enrolled.v1', 'pilot.reported.v1'])[1 + n % 3], (n / 3)::text,
               json_build_object('data', json_build_object('job_id', n / 3, 'pilot_id', 'p' || n / 3, 'peer', 'n' || n,
               'details', json_build_object('host', 'wn' || n / 3))), now() - interval '1 hour'
        FROM generate_series(1, 30000) n"""
    )
    db.execute("ANALYZE bus.events")
    asked = {"host": "wn77", "at": now(), "limit": 201}
    statement = statements(ROOT / "handlers" / "security" / "who_ran.sql")["ran"]
    plan = "\n".join(line for (line,) in db.execute("EXPLAIN ANALYZE " + statement, asked))
    most = max(int(rows) for rows in re.findall(r"actual time=[0-9.]+ rows=([0-9]+)", plan.replace("..", "")))
    assert most < 10, plan
