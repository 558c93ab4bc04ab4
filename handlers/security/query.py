"""Say what was refused, banned and revoked, from the event store."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bus import Db, Event, fitting
from schemas.rules.identity import pilot_of

CONSUMES = ("security.query.v1",)
EMITS = ()

LIMIT = 50


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked, account, limit = event.data, event.data.get("account"), event.data.get("limit", LIMIT)
    since = asked.get("since") or datetime.fromisoformat(event.time) - timedelta(days=1)
    rows = db.all("events", since=since, account=account, pilot_id=pilot_of(account or ""), limit=limit + 1)
    shown = fitting(rows[:limit])
    return [event.reply({"events": shown, "more": len(rows) > len(shown)})]
