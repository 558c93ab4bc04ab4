"""pilot.order: an order is given once while it is not acknowledged, to a pilot that is there."""

from __future__ import annotations

import pytest

from bus.event import Event
from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "pilot.order"
DRAIN = event("pilot.drain.v1", "p1", {"pilot_id": "p1"}, authid="root")


def phase(name: str, number: int, **details: object) -> Event:
    """The pilot says where it is in its life."""
    data = {"pilot_id": "p1", "site": "CLOUD.CNIC.cn", "phase": name, "number": number, "details": details}
    return event("pilot.reported.v1", "p1", data, authid="pilot-p1")


def test_an_unknown_pilot_is_named(story: Story) -> None:
    story.when(DRAIN, once=False).then(("request.refused.v1.reply", {"code": "not_found", "reason": "there is no pilot p1"}))


def test_who_has_left_is_not_told(story: Story) -> None:
    story.given("pilot.report", phase("leaving", 1, reason="idle"))
    story.when(DRAIN, once=False).then(("request.refused.v1.reply", {"code": "conflict", "reason": "pilot p1 is Done"}))


def test_asking_twice_gives_one_order(story: Story) -> None:
    story.given("pilot.report", phase("asking", 1))
    fact = {"pilot_id": "p1", "number": 1, "order": "drain", "requested_by": "root"}
    story.when(DRAIN, once=False).then(("pilot.ordered.v1", fact), ("pilot.drain.v1.reply", {"number": 1}))
    story.when(DRAIN, once=False).then(("pilot.drain.v1.reply", {"number": 1}))
    assert story.rows('SELECT pilot_id, "order", requested_by FROM pilot.orders') == [("p1", "drain", "root")]
    assert story.rows("SELECT timer, type FROM bus.timers") == [("order/1", "pilot.order_due.v1")]


def test_after_its_end_it_can_be_given_again(story: Story) -> None:
    story.given("pilot.report", phase("asking", 1))
    story.when(DRAIN, once=False)
    due = event("pilot.order_due.v1", "p1", {"pilot_id": "p1", "number": 1}, authid="")
    story.given("pilot.acknowledge", due)
    story.when(DRAIN, once=False).then(("pilot.ordered.v1", {"number": 2}), ("pilot.drain.v1.reply", {"number": 2}))


@pytest.mark.parametrize(("kind", "more", "order"), [("stop", {}, "stop"), ("set_log_level", {"level": "debug"}, "log_level")])
def test_other_orders(story: Story, kind: str, more: dict[str, str], order: str) -> None:
    story.given("pilot.report", phase("asking", 1))
    asked = event(f"pilot.{kind}.v1", "p1", {"pilot_id": "p1", **more}, authid="root")
    story.when(asked, once=False).then(("pilot.ordered.v1", {"order": order}), (f"pilot.{kind}.v1.reply", {"number": 1}))
    assert story.rows('SELECT "order", level FROM pilot.orders') == [(order, more.get("level"))]
