"""Take a job back from a pilot that matched it and never started it; its next attempt waits again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("job.match_expired.v1",)
EMITS = ("job.rescheduled.v1", "job.failed.v1")

MAX_RESCHEDULING = 3  # DIRAC's
RESCHEDULED, EXHAUSTED = "Job Rescheduled", "Maximum of reschedulings reached"


def decide(job: Mapping[str, Any] | None, attempt: int) -> str:
    """The state that follows, or nothing when the job has been started, or taken back, meanwhile."""
    if job is None or job["state"] != "Matched" or job["attempt"] != attempt:
        return ""
    return "Failed" if job["reschedules"] >= MAX_RESCHEDULING else "Rescheduled"


def handle(event: Event, db: Db) -> Iterable[Event]:
    job = db.one("job", job_id=event.data["job_id"])
    state = decide(job, event.data["attempt"])
    if job is None or not state:
        return []
    minor = EXHAUSTED if state == "Failed" else RESCHEDULED
    attempt = job["attempt"] + (state == "Rescheduled")
    db.run("attempt", job_id=job["job_id"], attempt=attempt, reschedules=job["reschedules"] + (state == "Rescheduled"))
    reason = f"pilot {job['pilot_id']} matched the job and did not start it"
    moved = {"state": state, "minor": minor, "application": reason, "at": event.time, "event_id": event.id}
    db.run("move", job_id=job["job_id"], version=job["version"], **moved)
    told = {"job_id": job["job_id"], "attempt": attempt, "minor_status": minor, "application_status": reason}
    return [event.answer(f"job.{state.lower()}.v1", job["job_id"], told)]
