"""Say whose jobs ran on a node at a moment, from the event store: what a site asks when the node has misbehaved."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event, fitting

CONSUMES = ("security.who_ran.v1",)
EMITS = ()

LIMIT = 200


def handle(event: Event, db: Db) -> Iterable[Event]:
    rows = db.all("ran", host=event.data["host"], at=event.data["at"], limit=LIMIT + 1)
    jobs = fitting([{name: value for name, value in row.items() if value is not None} for row in rows[:LIMIT]])
    return [event.reply({"jobs": jobs, "more": len(rows) > len(jobs)})]
