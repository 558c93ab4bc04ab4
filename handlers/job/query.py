"""Say how an owner's jobs are, with their history if wanted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bus import Db, Event, fitting

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


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked = event.data
    wants_history = bool(asked.get("history"))
    limit = min(asked.get("limit", 100), MOST_WITH_HISTORY if wants_history else 100)
    chosen = {"owner": event.authid, "states": asked.get("states"), "limit": limit + 1}
    if asked.get("newest"):
        rows = db.all("newest", **chosen)
    else:
        rows = db.all("jobs", job_ids=asked.get("job_ids"), after=asked.get("after", 0), **chosen)
    shown = fitting(rows[:limit])
    past: dict[int, list[dict[str, Any]]] = {row["job_id"]: [] for row in shown}
    if wants_history:
        for step in db.all("history", job_ids=list(past)):
            past[step.pop("job_id")].append(step)
    jobs = fitting([decide(row, newest(past[row["job_id"]]) if wants_history else None) for row in shown])
    return [event.reply({"jobs": jobs, "more": len(rows) > len(jobs)})]
