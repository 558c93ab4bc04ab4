"""Send a parked message to its queue once more, with its own id: what was applied meanwhile is not applied again."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("parking.replay.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    parked_id = event.data["parked_id"]
    row = db.one("settle", parked_id=parked_id, by=event.authid, at=event.time)
    if row is None:
        return [event.refuse("not_found", f"nothing is parked under {parked_id}, or it is settled already")]
    if row["reason"] == "invalid":
        db.run("unsettle", parked_id=parked_id)
        return [event.refuse("conflict", f"{parked_id} is invalid and would be refused again; drop it and send a valid one")]
    db.run("owe", parked_id=parked_id, queue=row["queue"])
    return [event.reply({"parked_id": parked_id, "queue": row["queue"]})]
