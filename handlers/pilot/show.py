"""Say how a pilot has lived: every phase that it has told; a number that is missing is one that has not come."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event, fitting

CONSUMES = ("pilot.show.v1",)
EMITS = ()

MOST = 200


def handle(event: Event, db: Db) -> Iterable[Event]:
    pilot_id, limit = event.data["pilot_id"], min(event.data.get("limit", MOST), MOST)
    if db.one("pilot", pilot_id=pilot_id) is None:
        return [event.refuse("not_found", f"there is no pilot {pilot_id}")]
    rows = db.all("phases", pilot_id=pilot_id, after=event.data.get("after", 0), limit=limit + 1)
    phases = fitting([{name: value for name, value in row.items() if value is not None} for row in rows[:limit]])
    return [event.reply({"phases": phases, "more": len(rows) > len(phases)})]
