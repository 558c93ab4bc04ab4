"""Give a submission its jobs and their ids, all or none; the same key always gets the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bus import Db, Event
from schemas.rules.description import DescriptionError, normalise
from schemas.rules.matching import never, requirements
from schemas.rules.parametric import expand

CONSUMES = ("job.submit.v1",)
EMITS = ("job.submitted.v1",)

MOST_JOBS = 1000
MOST_BYTES = 32_768  # of a description as JSON: it travels to the pilot in one reply
OWNER_GROUP = "local_user"  # one group and one community, until the registry of users exists
VO = "local"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing of a submission was taken."""

    code: str
    reason: str


def decide(description: dict[str, Any], owner: str, sites: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | Refusal:
    """The descriptions of the jobs, or the reason why none can ever run."""
    try:
        jobs = expand(normalise(description), MOST_JOBS)
    except DescriptionError as problem:
        return Refusal("invalid", str(problem))
    seen: set[str] = set()
    for job in jobs:
        if (size := len(json.dumps(job))) > MOST_BYTES:
            return Refusal(
                "invalid", f"a description of {size} bytes is more than {MOST_BYTES}; put what is large in the input sandbox"
            )
        needs = requirements(job, owner, OWNER_GROUP, VO)
        shape = json.dumps(needs, sort_keys=True)
        if shape not in seen and (reason := never(needs, list(sites))):
            return Refusal("invalid", reason)
        seen.add(shape)
    return jobs


def handle(event: Event, db: Db) -> Iterable[Event]:
    submission, owner = event.data["submission"], event.authid or ""
    digest = sha256(json.dumps(event.data["description"], sort_keys=True).encode()).hexdigest()
    if known := db.one("submission", submission=submission):
        return [repeat(event, known, owner, digest)]
    jobs = decide(event.data["description"], owner, db.all("sites"))
    if isinstance(jobs, Refusal):
        return [event.refuse(jobs.code, jobs.reason)]
    last = (db.one("allot", count=len(jobs)) or {})["last_job_id"]
    first = last - len(jobs) + 1
    rows = [{"job_id": first + place, "description": job, **labels(job)} for place, job in enumerate(jobs)]
    values = {"submission": submission, "owner": owner, "at": event.time}
    db.run("accept", digest=digest, first_job_id=first, count=len(jobs), **values)
    db.run("insert_jobs", owner_group=OWNER_GROUP, vo=VO, event_id=event.id, jobs=json.dumps(rows), **values)
    told = {"submission": submission, "owner": owner, "owner_group": OWNER_GROUP, "vo": VO}
    named = ("job_id", "job_name", "job_group")
    facts = [event.answer("job.submitted.v1", r["job_id"], told | {name: r[name] for name in named}) for r in rows]
    return [*facts, event.reply({"first_job_id": first, "count": len(jobs)})]


def labels(job: dict[str, Any]) -> dict[str, Any]:
    """What of a description has columns of its own."""
    return {"job_name": job["JobName"], "job_group": job["JobGroup"], "priority": job["Priority"]}


def repeat(event: Event, known: dict[str, Any], owner: str, digest: str) -> Event:
    """The answer to a key that was used before: the same ids for the same words of the same owner."""
    if known["owner"] != owner or known["digest"] != digest:
        return event.refuse("conflict", f"submission {event.data['submission']} was used for something else; choose another key")
    return event.reply({"first_job_id": known["first_job_id"], "count": known["count"]})
