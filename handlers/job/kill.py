"""Kill jobs for whoever has the right to: at once where they wait, by an order to their pilot where they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.job_states import decide_move
from schemas.rules.rights import may

CONSUMES = ("job.kill.v1",)
EMITS = ("job.killed.v1", "job.kill_requested.v1")

VALID_S = 86_400
ON_PILOT = ("Matched", "Running", "Completing", "Stalled")


def decide(job: Mapping[str, Any] | None, account: str, memberships: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The outcome (killed, requested, refused) and, for a refusal, the reason: a job that may not be seen is not there."""
    if job is None or may("GetInfo", account, memberships, job):
        return "refused", "you have no such job"
    if reason := may("Kill", account, memberships, job):
        return "refused", reason
    if reason := decide_move(job["state"], "Killed", job["attempt"], job["attempt"]):
        return "refused", reason
    return ("requested" if job["state"] in ON_PILOT else "killed"), ""


def handle(event: Event, db: Db) -> Iterable[Event]:
    wanted, account = list(dict.fromkeys(event.data["job_ids"])), event.authid or ""
    memberships = db.all("standing", account=account)
    jobs = {job["job_id"]: job for job in db.all("jobs", job_ids=wanted)}
    results, facts = [], []
    for job_id in wanted:
        outcome, reason = decide(jobs.get(job_id), account, memberships)
        results.append({"job_id": job_id, "outcome": outcome} | ({"reason": reason} if reason else {}))
        if outcome != "refused":
            facts.append(kill(event, db, jobs[job_id], outcome))
    return [*facts, event.reply({"results": results})]


def kill(event: Event, db: Db, job: Mapping[str, Any], outcome: str) -> Event:
    """The move, or the order to the pilot, and the fact."""
    about = {"job_id": job["job_id"], "attempt": job["attempt"]}
    if outcome == "killed":
        db.run("move", job_id=job["job_id"], version=job["version"], at=event.time, event_id=event.id)
        told = about | {"minor_status": "Marked for termination"}
        return event.answer("job.killed.v1", job["job_id"], told).of(job["owner"], job["vo"])
    db.run("order", pilot_id=job["pilot_id"], by=event.authid, valid_s=VALID_S, **about)
    told = about | {"pilot_id": job["pilot_id"], "requested_by": event.authid}
    return event.answer("job.kill_requested.v1", job["job_id"], told).of(job["owner"], job["vo"])
