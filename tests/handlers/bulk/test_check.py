"""bulk.check: a confirmed submission is passed on in parts, and the queues that its jobs will wait in are there."""

from __future__ import annotations

from handlers.bulk.check import AT_ONCE, decide
from tests.fix_house import Story
from tests.handlers.bulks import SWEEP, confirmed, stored
from tests.handlers.people import SUBMISSION, event

HANDLER = "bulk.check"
CONFIRMED = event("bulk.confirmed.v1", SUBMISSION, {"submission": SUBMISSION})


def test_the_parts_are_the_whole() -> None:
    parts = list(decide({"state": "Received", "first_job_id": 11, "count": 2 * AT_ONCE + 1}))
    assert parts == [(11, 10 + AT_ONCE), (11 + AT_ONCE, 10 + 2 * AT_ONCE), (11 + 2 * AT_ONCE, 11 + 2 * AT_ONCE)]


def test_a_confirmed_submission_is_passed_on_and_its_queues_are_there(story: Story) -> None:
    confirmed(story, description=SWEEP | {"CPUTime": "%s", "ParameterStart": 300, "ParameterStep": 100})
    story.when(CONFIRMED).then(("bulk.checked.v1", {"submission": SUBMISSION, "first_job_id": 1, "last_job_id": 5}))
    assert story.rows("SELECT count(*) FROM match.queues") == [(2,)]


def test_what_is_not_confirmed_goes_nowhere(story: Story) -> None:
    stored(story).when(CONFIRMED).then()
    assert story.rows("SELECT count(*) FROM match.queues") == [(0,)]
