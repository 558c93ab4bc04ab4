"""Take a job back from a pilot that did not start it in time, or lost its lease: its next attempt waits again, or it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("job.match_expired.v1", "job.lease_expired.v1")
EMITS = ("job.stalled.v1", "job.rescheduled.v1", "job.failed.v1", "job.killed.v1", "job.kill_requested.v1")

MAX_RESCHEDULING = 3  # DIRAC's
STALLED = "Job stalled: pilot not running"  # DIRAC's
MINOR_STATUS = {
    "Rescheduled": "Job Rescheduled",
    "Failed": "Maximum of reschedulings reached",
    "Killed": "Marked for termination",
}
STARTED = ("Running", "Completing", "Stalled")
VALID_S = 86_400


def decide(job: Mapping[str, Any] | None, attempt: int) -> tuple[str, str]:
    """The state that follows and its minor status; nothing when the job was started, taken back or renewed meanwhile."""
    if job is None or job["attempt"] != attempt or job["state"] not in ("Matched", *STARTED):
        return "", ""
    if job["kill_ordered"]:
        state = "Killed"
    elif job["reschedules"] >= MAX_RESCHEDULING:
        state = "Failed"
    elif job["state"] in STARTED and job["when_lost"] == "fail":
        return "Failed", STALLED
    else:
        state = "Rescheduled"
    return state, MINOR_STATUS[state]


def handle(event: Event, db: Db) -> Iterable[Event]:
    job = db.one("job", job_id=event.data["job_id"])
    leased = db.one("leased", job_id=event.data["job_id"])
    state, minor = decide(job, event.data["attempt"])
    if job is None or leased or not state:
        return []
    started, again = job["state"] in STARTED, state == "Rescheduled"
    # should that pilot still be alive, it must not go on with what is another's now
    db.run("order", pilot_id=job["pilot_id"], job_id=job["job_id"], attempt=job["attempt"], valid_s=VALID_S)
    why = "was not heard of until the job's lease ended" if started else "matched the job and did not start it"
    move = {
        "job_id": job["job_id"],
        "application_status": f"pilot {job['pilot_id']} {why}",
        "at": event.time,
        "event_id": event.id,
    }
    ordered = {"job_id": job["job_id"], "attempt": job["attempt"], "pilot_id": job["pilot_id"], "requested_by": "pilotbus"}
    facts: list[tuple[str, dict[str, Any]]] = [("job.kill_requested.v1", ordered)]
    version, told = job["version"], {"job_id": job["job_id"], "application_status": move["application_status"]}
    if started and job["state"] != "Stalled":
        db.run("move", version=version, state="Stalled", minor_status=STALLED, **move)
        facts.append(("job.stalled.v1", told | {"attempt": job["attempt"], "minor_status": STALLED}))
        version += 1
    attempt = job["attempt"] + again
    db.run("take_back", job_id=job["job_id"], attempt=attempt, reschedules=job["reschedules"] + again)
    db.run("move", version=version, state=state, minor_status=minor, **move)
    facts.append((f"job.{state.lower()}.v1", told | {"attempt": attempt, "minor_status": minor}))
    return [event.answer(kind, job["job_id"], data).of(job["owner"], job["vo"]) for kind, data in facts]
