"""Defects of the matcher, shown with a database."""

from __future__ import annotations

import uuid
from typing import Any

from tests.fix_house import Story
from tests.handlers.match.matcher import Matcher, wake
from tests.handlers.people import described, match_request, waiting

HANDLER = "match.request"


def test_one_key_that_is_parked_twice_harms_nobody(story: Story, matcher: Matcher) -> None:
    """A pilot asks again with the same request_id while its first request still waits: two jobs come at once."""
    key = str(uuid.uuid4())
    assert matcher.asked(match_request("p1", key), match_request("p2")) == {}
    assert matcher.asked(match_request("p1", key)) == {}
    waiting(story, 3)
    matcher.asked(wakes=tuple(wake(story, job_id) for job_id in (1, 2, 3)))
    assert sorted(story.rows("SELECT pilot_id FROM match.claims")) == [("p1",), ("p2",)]


def test_the_first_job_of_a_new_queue_goes_only_where_it_is_kept_apart(story: Story, matcher: Matcher) -> None:
    described(story, ("vo", {"vo": "local", "least_isolation": "bubblewrap"}))
    assert matcher.asked(match_request("p1")) == {}
    waiting(story)
    assert matcher.asked(wakes=(wake(story, 1),)) == {}, "p1 keeps payloads apart by nothing"


def test_one_job_that_cannot_be_told_does_not_stop_the_others(story: Story, matcher: Matcher) -> None:
    waiting(story, 2)
    long = "UPDATE job.jobs SET description = jsonb_set(description::jsonb, '{Arguments}', to_jsonb(repeat('x', 70000)))::json"
    story.sql(f"{long} WHERE job_id = 1")  # as an older version, or an operator by hand, may have left it
    given: dict[str, Any] = {}
    for pilot_id in ("p1", "p2", "p3"):
        try:
            given |= matcher.asked(match_request(pilot_id))
        except Exception as problem:
            print(type(problem), str(problem)[:200])
    assert 2 in given.values()


def test_what_a_pilot_says_of_its_size_does_not_shut_out_the_owner(story: Story, matcher: Matcher) -> None:
    waiting(story, 2, WholeNode=True)
    story.sql("INSERT INTO share.usage VALUES ('local_user', 'ada', 2147000000, 0, now())")  # 2,047 such claims before
    huge = match_request("p1", NumberOfProcessors=1_048_576, WholeNode=True)
    assert matcher.asked(huge) != {}
