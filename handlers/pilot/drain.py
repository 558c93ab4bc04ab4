"""Order a pilot to take no more jobs and to leave when its present one is over."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("pilot.drain.v1",)
EMITS = ("pilot.drain_requested.v1",)


def handle(event: Event, db: Db) -> Iterable[Event]:
    pilot_id = event.data["pilot_id"]
    if db.one("pilot", pilot_id=pilot_id) is None:
        return [event.refuse("not_found", f"there is no pilot {pilot_id}")]
    order = db.one("order", pilot_id=pilot_id, at=event.time) or {}
    told = {"pilot_id": pilot_id, "requested_by": event.authid}
    return [event.answer("pilot.drain_requested.v1", pilot_id, told), event.reply({"number": order["number"]})]
