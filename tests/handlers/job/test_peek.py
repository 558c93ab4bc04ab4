"""job.peek: whoever may see a running job hears what its pilot says of it now."""

from __future__ import annotations

from bus.event import Event
from handlers.job.peek import decide
from tests.fix_house import Story
from tests.handlers.people import event, matched
from tests.handlers.pilot.test_beat import beat, running

HANDLER = "job.peek"


def peek(account: str = "ada", job_id: int = 1) -> Event:
    """Somebody wants to see the job."""
    return event("job.peek.v1", job_id, {"job_id": job_id, "wait_s": 10}, authid=account)


def ended(outcome: str) -> Event:
    """What became of the order."""
    told = {"pilot_id": "p1", "number": 1, "order": "peek", "outcome": outcome, "job_id": 1, "attempt": 1}
    return event("pilot.order_ended.v1", "p1", told, authid="")


def test_a_job_that_may_not_be_seen_is_not_there(story: Story) -> None:
    assert decide(None, "ada", [])[0] == "not_found"
    running(story).asked(peek("bob")).then(("request.refused.v1.reply", {"code": "not_found"}))


def test_a_job_that_does_not_run_has_nothing_to_see(story: Story) -> None:
    matched(story).asked(peek()).then(
        ("request.refused.v1.reply", {"code": "conflict", "reason": "job 1 is Matched: there is nothing to see"})
    )


def test_the_pilot_is_told_and_its_answer_is_given(story: Story) -> None:
    running(story).asked(peek()).then(("pilot.ordered.v1", {"pilot_id": "p1", "order": "peek", "job_id": 1, "attempt": 1}))
    assert story.answers[0].owner == "ada"
    story.given("pilot.beat", beat({"job_id": 1, "attempt": 1, "cpu_s": 9.5, "last_lines": ["event 17"]}))
    story.asked(peek(), wakes=(ended("taken"),))
    story.then(("job.peek.v1.reply", {"fresh": True, "attempt": 1, "cpu_s": 9.5, "last_lines": ["event 17"]}))


def test_a_pilot_that_does_not_answer_leaves_what_was_last_heard(story: Story) -> None:
    running(story).given("pilot.beat", beat({"job_id": 1, "attempt": 1, "cpu_s": 3.0}))
    story.asked(peek(), wakes=(ended("expired"),)).then(("job.peek.v1.reply", {"fresh": False, "cpu_s": 3.0}))


def test_another_jobs_answer_leaves_it_parked(story: Story) -> None:
    other = ended("taken")
    other.data["job_id"] = 2
    running(story).asked(peek(), wakes=(other,)).then()
