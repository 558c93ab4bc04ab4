"""Check that a job makes sense before it may wait for a pilot. The place for a community's own checks is after this one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bus import Db, Event
from schemas.rules.job_states import decide_move

CONSUMES = ("job.submitted.v1",)
EMITS = ("job.checked.v1",)


def decide(job: dict[str, Any] | None) -> bool:
    """Whether the job is still to be checked: late and double news change nothing."""
    return job is not None and decide_move(job["state"], "Checking", job["attempt"], job["attempt"]) is None


def handle(event: Event, db: Db) -> Iterable[Event]:
    job = db.one("job", job_id=event.data["job_id"])
    if job is None or not decide(job):
        return []
    db.run("move", job_id=job["job_id"], version=job["version"], at=event.time, event_id=event.id)
    return [event.answer("job.checked.v1", job["job_id"], {"job_id": job["job_id"], "attempt": job["attempt"]})]
