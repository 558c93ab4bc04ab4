"""Kill jobs of their owner: at once where they wait, by an order to their pilot where they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from schemas.rules.job_states import decide_move

CONSUMES = ("job.kill.v1",)
EMITS = ("job.killed.v1", "job.kill_requested.v1")

ON_PILOT = ("Matched", "Running", "Completing", "Stalled")


def decide(job: Mapping[str, Any] | None, account: str) -> tuple[str, str]:
    """The outcome (killed, requested, refused) and, for a refusal, the reason."""
    if job is None or job["owner"] != account:
        return "refused", "you have no such job"
    if reason := decide_move(job["state"], "Killed", job["attempt"], job["attempt"]):
        return "refused", reason
    return ("requested" if job["state"] in ON_PILOT else "killed"), ""


def handle(event: Event, db: Db) -> Iterable[Event]:
    wanted = list(dict.fromkeys(event.data["job_ids"]))
    jobs = {job["job_id"]: job for job in db.all("jobs", job_ids=wanted)}
    results, facts = [], []
    for job_id in wanted:
        outcome, reason = decide(jobs.get(job_id), event.authid or "")
        results.append({"job_id": job_id, "outcome": outcome} | ({"reason": reason} if reason else {}))
        if outcome != "refused":
            facts.append(kill(event, db, jobs[job_id], outcome))
    return [*facts, event.reply({"results": results})]


def kill(event: Event, db: Db, job: Mapping[str, Any], outcome: str) -> Event:
    """The move, or the order to the pilot, and the fact."""
    about = {"job_id": job["job_id"], "attempt": job["attempt"]}
    if outcome == "killed":
        db.run("move", job_id=job["job_id"], version=job["version"], at=event.time, event_id=event.id)
        return event.answer("job.killed.v1", job["job_id"], about | {"minor_status": "Marked for termination"})
    db.run("order", pilot_id=job["pilot_id"], at=event.time, **about)
    told = {"pilot_id": job["pilot_id"], "requested_by": event.authid}
    return event.answer("job.kill_requested.v1", job["job_id"], about | told)
