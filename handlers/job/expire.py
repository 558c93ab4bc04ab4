"""Take a job back from a pilot that matched it and never started it: its next attempt waits again, unless it was to be killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("job.match_expired.v1",)
EMITS = ("job.rescheduled.v1", "job.failed.v1", "job.killed.v1", "job.kill_requested.v1")

MAX_RESCHEDULING = 3  # DIRAC's
MINOR_STATUS = {
    "Rescheduled": "Job Rescheduled",
    "Failed": "Maximum of reschedulings reached",
    "Killed": "Marked for termination",
}


def decide(job: Mapping[str, Any] | None, attempt: int) -> str:
    """The state that follows, or nothing when the job has been started, or taken back, meanwhile."""
    if job is None or job["state"] != "Matched" or job["attempt"] != attempt:
        return ""
    if job["kill_ordered"]:
        return "Killed"
    return "Failed" if job["reschedules"] >= MAX_RESCHEDULING else "Rescheduled"


def handle(event: Event, db: Db) -> Iterable[Event]:
    job = db.one("job", job_id=event.data["job_id"])
    state = decide(job, event.data["attempt"])
    if job is None or not state:
        return []
    again = state == "Rescheduled"
    about = {"job_id": job["job_id"], "attempt": job["attempt"] + again}
    # should that pilot still be alive, it must not start what is another's now
    db.run("order", pilot_id=job["pilot_id"], job_id=job["job_id"], attempt=job["attempt"], at=event.time)
    db.run("take_back", reschedules=job["reschedules"] + again, **about)
    told = {
        "minor_status": MINOR_STATUS[state],
        "application_status": f"pilot {job['pilot_id']} matched the job and did not start it",
    }
    db.run("move", job_id=job["job_id"], version=job["version"], state=state, at=event.time, event_id=event.id, **told)
    ordered = {"job_id": job["job_id"], "attempt": job["attempt"], "pilot_id": job["pilot_id"], "requested_by": "pilotbus"}
    facts = (("job.kill_requested.v1", ordered), (f"job.{state.lower()}.v1", about | told))
    return [event.answer(kind, job["job_id"], data).of(job["owner"], job["vo"]) for kind, data in facts]
