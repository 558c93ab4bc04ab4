"""parking.show: one parked message whole, whatever bytes it has."""

from __future__ import annotations

from tests.fix_house import Story
from tests.handlers.people import event

HANDLER = "parking.show"


def test_bytes_that_are_no_text_are_shown_all_the_same(story: Story) -> None:
    story.sql("INSERT INTO bus.parked (queue, reason, detail, body) VALUES ('gate', 'invalid', 'why', '\\xff7b')")
    story.when(event("parking.show.v1", "_", {"parked_id": 1}), once=False)
    story.then(("parking.show.v1.reply", {"body": "\ufffd{", "detail": "why"}))


def test_an_unknown_one_is_named(story: Story) -> None:
    story.when(event("parking.show.v1", "_", {"parked_id": 9}), once=False).then(
        ("request.refused.v1.reply", {"code": "not_found"})
    )
