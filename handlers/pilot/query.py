"""Say which pilots there are and what they do."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("pilot.query.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    limit = event.data.get("limit", 50)
    rows = db.all("pilots", after=event.data.get("after", ""), limit=limit + 1)
    return [event.reply({"pilots": rows[:limit], "more": len(rows) > limit})]
