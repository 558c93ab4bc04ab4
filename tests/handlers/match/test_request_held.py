"""match.request: what keeps jobs from pilots that fit them, and what is said and kept of a request that gets none."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import psycopg
import pytest

from bus.event import now
from bus.postgres import Direct
from handlers.match.parked import MOST_OF_AN_ACCOUNT
from schemas.rules.matching import requirements
from tests.fix_house import Story
from tests.handlers.claims import differing
from tests.handlers.match.matcher import LIMIT, Matcher, wake
from tests.handlers.people import SITE, event, match_request, submitted, waiting

HANDLER = "match.request"


def test_the_site_mask_lets_only_test_jobs_in(story: Story, matcher: Matcher) -> None:
    waiting(story)
    waiting(story, JobType="Test")
    story.sql("UPDATE site.sites SET status = 'banned'")
    assert matcher.asked(match_request("p1"), match_request("p2")) == {"p1": 2}
    story.sql("UPDATE site.sites SET status = 'active'")
    matcher.memory.waiting.look_again()
    assert matcher.asked() == {"p2": 1}


def test_a_pilot_that_takes_other_jobs_takes_test_jobs_at_a_masked_site_and_is_told_so(story: Story, matcher: Matcher) -> None:
    """DIRAC does not add to what the pilot offers, it sets JobType to Test there."""
    waiting(story)
    waiting(story, JobType="Test")
    users, both = match_request("p1", JobType="User"), match_request("p2", JobType=["User", "Test"])
    story.sql("UPDATE site.sites SET status = 'banned'")
    assert matcher.asked(users) == {"p1": 2}
    assert matcher.asked(both.about(both.data | {"wait_s": 0})) == {"p2": None}
    (reply,) = matcher.replies
    assert reply.data["why"]["headline"].endswith("JobType: the resource has Test, the job wants User")
    assert story.rows("SELECT resource ->> 'JobType' FROM match.reasons") == [("Test",)]


def test_a_site_that_is_masked_while_pilots_wait_there_and_is_not_any_more(story: Story, matcher: Matcher) -> None:
    submitted(story.sql(SITE.replace("CLOUD.CNIC.cn", "GRID.JINR.ru")), 0)  # where the jobs could run
    assert matcher.asked(match_request("p1", JobType="User")) == {}
    story.sql("UPDATE site.sites SET status = 'banned' WHERE site = 'CLOUD.CNIC.cn'")
    waiting(story)
    matcher.memory.waiting.look_again()
    assert matcher.asked(wakes=(wake(story, 1),)) == {}
    waiting(story, JobType="Test")
    assert matcher.asked(wakes=(wake(story, 2),)) == {"p1": 2}
    assert matcher.asked(match_request("p2", JobType="User")) == {}
    story.sql("UPDATE site.sites SET status = 'active'")
    matcher.memory.waiting.look_again()
    assert matcher.asked() == {"p2": 1}


def test_running_limits_hold_and_what_is_released_wakes(story: Story, matcher: Matcher) -> None:
    waiting(story, 4)
    story.sql(f"{LIMIT} VALUES ('CLOUD.CNIC.cn', '', 'Owner', 'ada', 2, 0, NULL, 1, 1, now())")
    assert sorted(matcher.asked(*(match_request(f"p{n}") for n in range(1, 5)))) == ["p1", "p2"]
    assert differing(story._db) == []
    assert len(matcher.memory.parked.asks) == 2
    story.given("match.release", event("job.done.v1", 1, {"job_id": 1, "attempt": 1, "minor_status": "x"}))
    assert matcher.asked() == {}
    assert matcher.asked(wakes=(event("match.released.v1", "_", {"site": "CLOUD.CNIC.cn"}),)) == {"p3": 3}
    assert differing(story._db) == []


def test_a_limit_on_a_job_group_passes_over_its_jobs_alone(story: Story, matcher: Matcher) -> None:
    waiting(story, 40, JobGroup="crowd")
    waiting(story, 1, JobGroup="other")
    story.sql(f"{LIMIT} VALUES ('CLOUD.CNIC.cn', '', 'JobGroup', 'crowd', 1, 0, NULL, 1, 1, now())")
    assert matcher.asked(match_request("p1"), match_request("p2"), match_request("p3")) == {"p1": 1, "p2": 41}


def test_a_delay_between_matches_holds_and_is_over_in_time(story: Story, matcher: Matcher) -> None:
    waiting(story, 2)
    story.sql(f"{LIMIT} VALUES ('CLOUD.CNIC.cn', '', '*', '*', NULL, 0, 0.3, 1, 1, now())")
    assert matcher.asked(match_request("p1"), match_request("p2")) == {"p1": 1}
    assert matcher.asked() == {}
    assert 0 < matcher.memory.idle_s() <= 0.3
    threading.Event().wait(matcher.memory.idle_s() + 0.05)  # a token comes with time, and with nothing else
    assert matcher.asked() == {"p2": 2}


def test_an_empty_answer_says_why_and_is_kept(story: Story, matcher: Matcher) -> None:
    waiting(story, MinRAM=64_000)
    request = match_request("p1")
    matcher.asked(request.about(request.data | {"wait_s": 0}))
    (reply,) = matcher.replies
    (row,) = story.rows("SELECT e.pilot_id, r.nearest FROM match.empties e JOIN match.reasons r USING (digest)")
    assert reply.data["why"]["fails"] == {"MaxRAM": 1}
    assert row[0] == "p1"
    assert row[1]["reasons"] == ["MaxRAM: the resource has 4000, the job needs 64000"]


def test_answers_without_a_job_are_one_row_of_reasons_however_queues_come_and_go(story: Story, matcher: Matcher) -> None:
    submitted(story, 0)
    needs = requirements({"MinRAM": 64_000}, "ada", "local_user", "local")
    for number in range(20):
        queue_id = matcher.memory.waiting.know(1000 + number, needs | {"BannedSites": [f"B.{number}"]})
        matcher.memory.waiting.heads.keep(queue_id, [(-1, number, "g")], 5)
        asked = [match_request(f"p{n % 9 + 1}") for n in range(10)]
        matcher.asked(*(request.about(request.data | {"wait_s": 0}) for request in asked))
        assert len(matcher.replies) == 10
        if number == 10:
            matcher.memory.waiting.heads.take(0, (-1, 0, "g"))  # another is the nearest
    assert story.rows("SELECT count(*), count(DISTINCT counts), count(DISTINCT digest) FROM match.empties") == [(200, 20, 1)]
    assert story.rows("SELECT count(*) FROM match.reasons") == [(1,)]


def test_who_is_crowded_out_is_told_with_all_others_so_that_matchers_keep_in_one_order(
    story: Story, matcher: Matcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(story, 0)
    kept: list[str] = []
    run = Direct.run

    def noted(db: Direct, name: str, **values: Any) -> None:
        kept.append(name)
        run(db, name, **values)

    monkeypatch.setattr(Direct, "run", noted)
    matcher.asked(*(match_request("p1", MaxRAM=1000 + n) for n in range(MOST_OF_AN_ACCOUNT + 5)))
    assert kept.count("keep_empties") == 1
    assert story.rows("SELECT count(*) FROM match.empties") == [(5,)]


def test_reasons_are_locked_in_one_order(story: Story, test_dsn: str) -> None:
    rows = [
        {
            "pilot_id": "p1",
            "request_id": str(uuid.uuid4()),
            "at": now(),
            "site": "A.B",
            "resource": {"MaxRAM": n},
            "reasons": {"queues": 0},
        }
        for n in range(20)
    ]
    digest = "SELECT match.digest_of(%s::jsonb, %s::jsonb)"
    rows.sort(key=lambda row: str(story.rows(digest, json.dumps(row["resource"]), json.dumps(row["reasons"]))[0][0]))
    keep = "SELECT match.keep_empties(%s)"
    done: list[bool] = []

    def other() -> None:
        with psycopg.connect(test_dsn) as connection:
            again = [row | {"request_id": str(uuid.uuid4())} for row in reversed(rows)]
            connection.execute(keep, (json.dumps(again),))
        done.append(True)

    with story._db.transaction():
        story._db.execute("SET LOCAL lock_timeout = '5s'")
        story._db.execute(keep, (json.dumps(rows[:1]),))
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        story._db.execute(keep, (json.dumps(rows[1:]),))  # whoever waits for the first has none of the others
    thread.join(20)
    assert done == [True]
    assert story.rows("SELECT (SELECT count(*) FROM match.empties), (SELECT count(*) FROM match.reasons)") == [(40, 20)]
