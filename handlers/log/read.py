"""Give the owner of a job, or whoever may see it, its lines, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bus import Db, Event, fitting
from schemas.rules.rights import may

CONSUMES = ("log.read.v1",)
EMITS = ()

MOST_LINES = 400


def decide(rows: Sequence[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], bool]:
    """As many lines as a reply can carry, and whether there are more."""
    shown = fitting(rows[:limit])
    return shown, len(rows) > len(shown)


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked, account = event.data, event.authid or ""
    memberships = db.all("standing", account=account)
    job = db.one("job", job_id=asked["job_id"])
    if job is None or may("GetInfo", account, memberships, job):
        return [event.refuse("not_found", f"you have no job {asked['job_id']}")]
    limit = min(asked.get("limit", MOST_LINES), MOST_LINES)
    after = asked.get("after", {})
    streams, numbers = list(after), list(after.values())
    rows = db.all("lines", subject=str(asked["job_id"]), streams=streams, numbers=numbers, limit=limit + 1)
    lines, more = decide(rows, limit)
    return [event.reply({"lines": lines, "more": more})]
