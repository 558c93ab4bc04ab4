"""Take back a pilot's request for a job: after this answer it gets none, unless it has got one before."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("match.withdraw.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    row = db.one("withdraw", pilot_id=event.data["pilot_id"], request_id=event.data["request_id"])
    return [event.reply({"withdrawn": row is not None and row["withdrawn"]})]
