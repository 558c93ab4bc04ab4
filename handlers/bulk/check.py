"""Check that the jobs of a submission make sense before they may wait; a community's own checks come after this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("bulk.confirmed.v1",)
EMITS = ("bulk.checked.v1",)

AT_ONCE = 25_000  # jobs that one event lets wait, in one statement and one transaction


def decide(known: Mapping[str, Any] | None) -> Iterator[tuple[int, int]]:
    """First and last job of each part of a submission, if there is one."""
    if known is None or known["state"] != "Received":
        return
    end = known["first_job_id"] + known["count"]
    for first in range(known["first_job_id"], end, AT_ONCE):
        yield first, min(first + AT_ONCE, end) - 1


def handle(event: Event, db: Db) -> Iterable[Event]:
    submission = event.data["submission"]
    known = db.one("submission", submission=submission)
    parts = list(decide(known))
    if not parts or known is None:
        return []
    db.run("queues", submission=submission)
    whose = {name: known[name] for name in ("owner", "owner_group", "vo")}
    told = ({"submission": submission, "first_job_id": first, "last_job_id": last} | whose for first, last in parts)
    return [event.answer("bulk.checked.v1", submission, data).of(known["owner"], known["vo"]) for data in told]
