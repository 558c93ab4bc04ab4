"""Say how jobs are, with their history if wanted: one's own, and those of others as far as one's rights reach."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bus import Db, Event, fitting
from schemas.rules.rights import may, reach
from schemas.rules.selection import MOST_IDS, beyond, reaching, selected

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
    asked, account = event.data, event.authid or ""
    wants_history, newest_first = bool(asked.get("history")), bool(asked.get("newest"))
    limit = min(asked.get("limit", 100), MOST_WITH_HISTORY if wants_history else 100)
    memberships = db.all("standing", account=account)
    far = reach("GetInfo", memberships)
    try:
        wanted = selected(asked, command=False)
    except ValueError as problem:
        return [event.refuse("invalid", str(problem))]
    if "ranges" in wanted and not newest_first:
        wanted["ranges"] = beyond(wanted["ranges"], asked.get("after", 0), MOST_IDS)
    told = {"asked": json.dumps(wanted), "seen": json.dumps(reaching(asked, account, far)), "newest": newest_first}
    rows = db.all("jobs", **told, after=asked.get("after", 0), most=limit + 1)
    shown = fitting(rows[:limit])
    for row in shown:
        if may("GetSandbox", account, memberships, row):  # whoever knows a digest may name it as an own input
            row["output_digest"] = None
    past: dict[int, list[dict[str, Any]]] = {row["job_id"]: [] for row in shown}
    if wants_history:
        for step in db.all("history", job_ids=list(past)):
            past[step.pop("job_id")].append(step)
    jobs = fitting([decide(row, newest(past[row["job_id"]]) if wants_history else None) for row in shown])
    return [event.reply({"jobs": jobs, "more": len(rows) > len(jobs)})]
