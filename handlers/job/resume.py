"""Let rescheduled jobs wait again when DIRAC's delay is over, many at once, each in the task queue that it was in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from handlers.job.commanding import FEW

CONSUMES = ("job.hold_ended.v1",)
EMITS = ("job.waiting.v1", "job.checked.v1")


def decide(jobs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The jobs that are told to wait: each of a few, of many the first of each task queue, which wakes whoever serves it."""
    if len(jobs) <= FEW:
        return list(jobs)
    first: dict[int, Mapping[str, Any]] = {}
    for job in jobs:
        first.setdefault(job["queue_id"], job)
    return list(first.values())


def handle(event: Event, db: Db) -> Iterable[Event]:
    jobs = db.all("resume", ranges=json.dumps(event.data["ranges"]), at=event.time, event_id=event.id)
    for job in decide([job for job in jobs if job["queue_id"] is not None]):
        told = {name: job[name] for name in ("job_id", "attempt", "queue_id", "priority", "job_group")}
        yield event.answer("job.waiting.v1", job["job_id"], told).of(job["owner"], job["vo"])
    for job in jobs:
        if job["queue_id"] is None:
            told = {name: job[name] for name in ("job_id", "attempt")}
            yield event.answer("job.checked.v1", job["job_id"], told).of(job["owner"], job["vo"])
