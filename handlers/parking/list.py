"""Say which messages are parked or in quarantine."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event, fitting

CONSUMES = ("parking.list.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    limit = event.data.get("limit", 50)
    rows = db.all("parked", after=event.data.get("after", 0), limit=limit + 1)
    shown = fitting([{name: value for name, value in row.items() if value is not None} for row in rows[:limit]])
    return [event.reply({"parked": shown, "more": len(rows) > len(shown)})]
