"""Say what is limited at sites, how far each limit is used, and which are reached now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event, fitting
from schemas.rules.limits import Limits

CONSUMES = ("limit.query.v1",)
EMITS = ()

SHOWN = ("limit_id", "site", "ce", "attribute", "value", "running", "most", "delay_s", "burst")


def decide(row: Mapping[str, Any]) -> dict[str, Any]:
    """The limit as it is shown; what it does not limit is absent."""
    now, place = Limits([row], row["now_s"]), (row["site"], row["ce"])
    told = {name: row[name] for name in SHOWN if row[name] is not None and (name != "burst" or row["delay_s"] is not None)}
    again_s = now.again_s(*place)
    return told | {"reached": bool(now.blocked(*place))} | ({} if again_s is None else {"again_s": again_s})


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked, limit = event.data, event.data.get("limit", 100)
    rows = db.all("limits", site=asked.get("site"), after=asked.get("after", 0), limit=limit + 1)
    shown = fitting([decide(row) for row in rows[:limit]])
    return [event.reply({"limits": shown, "more": len(rows) > len(shown)})]
