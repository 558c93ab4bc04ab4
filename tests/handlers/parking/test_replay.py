"""parking.replay: a failed message is owed to its queue again, once; an invalid one would only be refused again."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "parking.replay"
REPLAY = event("parking.replay.v1", "_", {"parked_id": 1})
PARKED = "INSERT INTO bus.parked (queue, reason, detail, body) VALUES ('job.check', %s, 'KeyError', '{}')"


def test_a_failed_message_is_owed_to_its_queue_once(story: Story) -> None:
    story.sql(PARKED, "failed").when(REPLAY, once=False).then(("parking.replay.v1.reply", {"queue": "job.check"}))
    story.when(REPLAY, once=False).then(("request.refused.v1.reply", {"code": "not_found"}))
    assert story.rows("SELECT queue, parked_id FROM bus.unsent") == [("job.check", 1)]
    assert story.rows("SELECT settled, settled_by FROM bus.parked") == [("replayed", "ada")]


def test_an_invalid_message_stays_in_quarantine(story: Story) -> None:
    story.sql(PARKED, "invalid").when(REPLAY, once=False).then(("request.refused.v1.reply", {"code": "conflict"}))
    assert story.rows("SELECT settled FROM bus.parked") == [(None,)]
    assert story.rows("SELECT count(*) FROM bus.unsent") == [(0,)]
