"""parking.list: what is parked and not settled, a page at a time."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "parking.list"
PARKED = "INSERT INTO bus.parked (queue, reason, detail, body, settled) VALUES ('job.check', 'failed', 'KeyError', '{}', %s)"


def test_settled_ones_are_not_shown(story: Story) -> None:
    story.sql(PARKED, None).sql(PARKED, "dropped").sql(PARKED, None)
    story.when(event("parking.list.v1", "_", {"limit": 1}), once=False)
    assert [p["parked_id"] for p in story._answers[0].data["parked"]] == [1]
    story.when(event("parking.list.v1", "_", {"after": 1}), once=False)
    assert [p["parked_id"] for p in story._answers[0].data["parked"]] == [3]
