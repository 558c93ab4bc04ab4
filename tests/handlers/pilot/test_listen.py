"""pilot.listen: a pilot hears its own orders, again until it says that it has heard them."""

from __future__ import annotations

from handlers.pilot.listen import decide
from tests.fix_house import Story
from tests.handlers.people import event, matched

HANDLER = "pilot.listen"


def listening(pilot_id: str = "p1", after: int = 0):  # type: ignore[no-untyped-def]
    """The request."""
    return event("pilot.listen.v1", pilot_id, {"pilot_id": pilot_id, "after": after, "wait_s": 60}, authid=f"pilot-{pilot_id}")


def test_a_wake_concerns_only_the_pilot_it_names() -> None:
    wake = event("pilot.ordered.v1", "p2", {"pilot_id": "p2", "number": 1, "order": "drain", "requested_by": "ada"})
    assert [r.data["pilot_id"] for r in decide([listening("p1"), listening("p2")], [wake])] == ["p2"]


def test_a_pilot_without_orders_stays_parked(story: Story) -> None:
    story.asked(listening()).then()


def test_an_order_comes_again_until_it_has_been_heard(story: Story) -> None:
    matched(story).given("job.kill", event("job.kill.v1", "_", {"job_ids": [1]}))
    order = {"number": 1, "order": "kill", "job_id": 1, "attempt": 1, "valid_s": 86400}
    for _ in range(2):
        story.asked(listening()).then(("pilot.listen.v1.reply", {"orders": [order]}))
    story.asked(listening(after=1)).then()
    story.asked(listening("p2")).then()
