"""pilot.acknowledge: an order ends once, by its pilot's word or by its time."""

from __future__ import annotations

from bus.event import Event
from tests.fix_house import Story
from tests.handlers.people import event, matched, report

HANDLER = "pilot.acknowledge"
DUE = event("pilot.order_due.v1", "p1", {"pilot_id": "p1", "number": 1}, authid="")


def obeyed(outcome: str = "taken", pilot_id: str = "p1", **more: str) -> Event:
    """The pilot acknowledges order 1."""
    data = {"pilot_id": pilot_id, "number": 1, "outcome": outcome} | more
    return event("pilot.obeyed.v1", pilot_id, data, authid=f"pilot-{pilot_id}")


def killing(story: Story) -> Story:
    """Job 1 runs on p1 and is to be killed: order 1."""
    matched(story).given("job.report", report("Running"))
    return story.given("job.kill", event("job.kill.v1", "_", {"job_ids": [1]}))


def test_taken_once_and_never_again(story: Story) -> None:
    killing(story)
    fact = {"pilot_id": "p1", "number": 1, "order": "kill", "outcome": "taken", "job_id": 1, "attempt": 1}
    story.when(obeyed()).then(("pilot.order_ended.v1", fact))
    assert story.rows("SELECT outcome FROM pilot.orders") == [("taken",)]
    assert story.rows("SELECT timer FROM bus.timers WHERE timer ~ '^order/'") == []
    story.when(obeyed("refused", reason="no")).then()
    story.when(DUE).then()


def test_its_owner_may_follow_it(story: Story) -> None:
    killing(story)
    (ended,) = story.when(obeyed()).answers
    assert (ended.owner, ended.vo) == ("ada", "local")


def test_a_refusal_has_its_reason(story: Story) -> None:
    killing(story)
    story.when(obeyed("refused", reason="it is Tuesday")).then(("pilot.order_ended.v1", {"reason": "it is Tuesday"}))


def test_an_order_that_is_not_heard_ends_and_is_told_no_more(story: Story) -> None:
    killing(story)
    story.when(DUE).then(("pilot.order_ended.v1", {"outcome": "expired"}))
    story.when(obeyed()).then()


def test_another_pilot_acknowledges_nothing(story: Story) -> None:
    killing(story)
    story.when(obeyed(pilot_id="p2")).then(("security.refused.v1", {"account": "pilot-p2"}))
    assert story.rows("SELECT outcome FROM pilot.orders") == [(None,)]
