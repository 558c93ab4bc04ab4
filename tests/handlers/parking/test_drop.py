"""parking.drop: a parked message is settled once, and stays on record."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "parking.drop"
DROP = event("parking.drop.v1", "_", {"parked_id": 1})


def test_it_stays_on_record_with_who_dropped_it(story: Story) -> None:
    story.sql("INSERT INTO bus.parked (queue, reason, detail, body) VALUES ('job.check', 'failed', 'KeyError', '{}')")
    story.when(DROP, once=False).then(("parking.drop.v1.reply", {"parked_id": 1}))
    story.when(DROP, once=False).then(("request.refused.v1.reply", {"code": "not_found"}))
    assert story.rows("SELECT settled, settled_by, body FROM bus.parked") == [("dropped", "ada", b"{}")]
