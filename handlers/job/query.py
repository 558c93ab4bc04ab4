"""Say how jobs are, with their history if wanted: one's own, and those of others as far as one's rights reach."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bus import Db, Event, fitting
from schemas.rules.rights import reach

CONSUMES = ("job.query.v1",)
EMITS = ()

MOST_WITH_HISTORY = 10
MOST_HISTORY_BYTES = 48_000


def decide(row: dict[str, Any], history: list[dict[str, Any]] | None) -> dict[str, Any]:
    """One job as the reply shows it: what is not known is left out."""
    shown = {name: value for name, value in row.items() if value is not None and not name.startswith("output")}
    if row["output_digest"]:
        shown["output"] = {"digest": row["output_digest"], "size_bytes": row["output_bytes"]}
    return shown if history is None else shown | {"history": history}


def newest(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last steps of a history, as many as a reply can carry."""
    return fitting(history[::-1], MOST_HISTORY_BYTES)[::-1]


def chosen(event: Event, db: Db, limit: int) -> list[dict[str, Any]]:
    """The jobs that are asked for and may be seen; what may not be seen is not there."""
    asked, account = event.data, event.authid or ""
    far = reach("GetInfo", db.all("standing", account=account))
    page = {"states": asked.get("states"), "limit": limit}
    if "job_ids" in asked or "owner" in asked or "owner_group" in asked:
        groups, group_vos = [group for group, _ in far.groups], [vo for _, vo in far.groups]
        seen = {"account": account if far.own else None, "groups": groups, "group_vos": group_vos, "vos": list(far.vos)}
        named = {name: asked.get(name) for name in ("job_ids", "owner", "owner_group")}
        if asked.get("newest"):
            return db.all("others_newest", **named, **seen, **page)
        return db.all("others", after=asked.get("after", 0), **named, **seen, **page)
    if not far.own:
        return []
    if asked.get("newest"):
        return db.all("newest", owner=account, **page)
    return db.all("jobs", owner=account, after=asked.get("after", 0), **page)


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked = event.data
    wants_history = bool(asked.get("history"))
    limit = min(asked.get("limit", 100), MOST_WITH_HISTORY if wants_history else 100)
    rows = chosen(event, db, limit + 1)
    shown = fitting(rows[:limit])
    past: dict[int, list[dict[str, Any]]] = {row["job_id"]: [] for row in shown}
    if wants_history:
        for step in db.all("history", job_ids=list(past)):
            past[step.pop("job_id")].append(step)
    jobs = fitting([decide(row, newest(past[row["job_id"]]) if wants_history else None) for row in shown])
    return [event.reply({"jobs": jobs, "more": len(rows) > len(jobs)})]
