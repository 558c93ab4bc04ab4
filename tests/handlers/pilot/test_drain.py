"""pilot.drain: an order to leave is given once."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.drain"
DRAIN = event("pilot.drain.v1", "p1", {"pilot_id": "p1"})


def test_an_unknown_pilot_is_named(story: Story) -> None:
    story.when(DRAIN, once=False).then(("request.refused.v1.reply", {"code": "not_found", "reason": "there is no pilot p1"}))


def test_asking_twice_gives_one_order(story: Story) -> None:
    phase = {"pilot_id": "p1", "site": "A.B.ch", "phase": "asking", "number": 1}
    story.given("pilot.report", event("pilot.reported.v1", "p1", phase, authid="pilot-p1"))
    for _ in range(2):
        story.when(DRAIN, once=False).then(("pilot.drain_requested.v1", {"pilot_id": "p1"}), ("pilot.drain.v1.reply", {}))
    assert story.rows('SELECT pilot_id, "order" FROM pilot.orders') == [("p1", "drain")]
