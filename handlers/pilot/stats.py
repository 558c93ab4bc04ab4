"""Say how long each phase of pilots takes at each site, and why pilots leave."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bus import Db, Event, fitting

CONSUMES = ("pilot.stats.v1",)
EMITS = ()

DAY_S = 86_400
LIMIT = 500


def decide(time: str, since_s: int) -> datetime:
    """From when on phases count."""
    return datetime.fromisoformat(time) - timedelta(seconds=since_s)


def handle(event: Event, db: Db) -> Iterable[Event]:
    about = {"since": decide(event.time, event.data.get("since_s", DAY_S)), "site": event.data.get("site"), "limit": LIMIT + 1}
    rows = db.all("phases", **about)
    reasons = db.all("leaving", **about)
    told = [{name: value for name, value in row.items() if value is not None} for row in rows]
    phases = fitting(told[:LIMIT])
    left = fitting([*phases, *reasons[:LIMIT]])[len(phases) :]  # both travel in one envelope
    return [event.reply({"phases": phases, "leaving": left, "more": len(rows) > len(phases) or len(reasons) > len(left)})]
