"""Give a pilot an order: to drain, to stop, or to say more or less; it hears it by pilot.listen and acknowledges it."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("pilot.drain.v1", "pilot.stop.v1", "pilot.set_log_level.v1")
EMITS = ("pilot.ordered.v1",)

ORDER = {"pilot.drain.v1": "drain", "pilot.stop.v1": "stop", "pilot.set_log_level.v1": "log_level"}
VALID_S = {"drain": 86_400, "stop": 86_400, "log_level": 3_600}
OVER = ("Done", "Failed", "Aborted", "Deleted")


def handle(event: Event, db: Db) -> Iterable[Event]:
    pilot_id, order = event.data["pilot_id"], ORDER[event.type]
    pilot = db.one("pilot", pilot_id=pilot_id)
    if pilot is None:
        return [event.refuse("not_found", f"there is no pilot {pilot_id}")]
    if pilot["state"] in OVER:
        return [event.refuse("conflict", f"pilot {pilot_id} is {pilot['state']}")]
    told = {"pilot_id": pilot_id, "order": order, "level": event.data.get("level"), "by": event.authid, "valid_s": VALID_S[order]}
    given = db.one("give", **told) or {}
    reply = event.reply({"number": given["number"]})
    if not given["fresh"]:
        return [reply]
    fact = {"pilot_id": pilot_id, "number": given["number"], "order": order, "requested_by": event.authid}
    return [event.answer("pilot.ordered.v1", pilot_id, fact), reply]
