"""Say how many jobs of whose groups are in which state: exact, from counts that every change of a job keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event, fitting
from schemas.rules.rights import reach
from schemas.rules.selection import reaching

CONSUMES = ("job.groups.v1",)
EMITS = ()

PAGE = 100
KEY = ("vo", "owner_group", "owner", "job_group")
GONE = "Deleted"


def decide(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows as the reply shows them."""
    return [
        {name: row[name] for name in KEY}
        | {"jobs": sum(count for state, count in row["counts"].items() if state != GONE), "counts": row["counts"]}
        for row in rows
    ]


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked, account = event.data, event.authid or ""
    far = reach("GetInfo", db.all("standing", account=account))
    named = asked | ({"owner": None} if asked.get("everybody") else {})
    seen = json.dumps(reaching(named, account, far))
    only = {name: asked.get(name) for name in ("job_group", "owner", "owner_group")}
    after = dict(zip((f"after_{name}" for name in KEY), asked.get("after", [""] * len(KEY)), strict=True))
    rows = db.all("groups", seen=seen, **only, **after, most=PAGE + 1)
    shown = fitting(decide(rows[:PAGE]))
    return [event.reply({"groups": shown, "more": len(rows) > len(shown)})]
