"""Give a pilot whose connection is gone the time of one beat to be heard, not of three."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("pilot.disconnected.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    db.run("hurry", pilot_id=event.data["pilot_id"])
    return []
