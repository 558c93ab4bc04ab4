"""Put a checked or rescheduled job in the task queue of jobs that need the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.job_states import decide_move
from schemas.rules.matching import digest, never, requirements
from schemas.rules.placed import described

CONSUMES = ("job.checked.v1", "job.rescheduled.v1")
EMITS = ("job.waiting.v1", "job.failed.v1")


def decide(job: dict[str, Any], attempt: int, sites: Sequence[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
    """The task queue that the job belongs in; or None and why it can never run; or None and nothing when the news is old."""
    if decide_move(job["state"], "Waiting", job["attempt"], attempt) is not None:
        return None, ""
    needs = requirements(described(job), job["owner"], job["owner_group"], job["vo"])
    reason = never(needs, list(sites))
    return (None, reason) if reason else (needs, "")


def handle(event: Event, db: Db) -> Iterable[Event]:
    job = db.one("job", job_id=event.data["job_id"])
    if job is None or event.data.get("delay_s"):  # job.resume has its turn when the hold is over
        return []
    needs, reason = decide(job, event.data["attempt"], db.all("sites"))
    about = {"job_id": job["job_id"], "attempt": job["attempt"]}
    move = {"job_id": job["job_id"], "version": job["version"], "at": event.time, "event_id": event.id}
    if needs is not None:
        queue = db.one("queue", digest=digest(needs), requirements=json.dumps(needs)) or {}
        db.run("join", queue_id=queue.get("queue_id"), job_id=job["job_id"])
        db.run("wait", queue_id=queue.get("queue_id"), **move)
        told = {"queue_id": queue.get("queue_id", 0), "priority": job["priority"], "job_group": job["job_group"]}
        return [event.answer("job.waiting.v1", job["job_id"], about | told)]
    if reason:
        db.run("fail", reason=reason, **move)
        told = {"minor_status": "No candidate site", "application_status": reason}
        return [event.answer("job.failed.v1", job["job_id"], about | told)]
    return []
