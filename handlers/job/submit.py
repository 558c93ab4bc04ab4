"""Give a submission its jobs and their ids, all or none; the same key always gets the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from bus import Db, Event
from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.inputs import inputs, unknown
from schemas.rules.parametric import expand
from schemas.rules.submission import Denied, Judge, Owner, labels, owner_of

CONSUMES = ("job.submit.v1",)
EMITS = ("job.submitted.v1",)

MOST_JOBS = 1000


def decide(description: dict[str, Any], owner: Owner, sites: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The descriptions of the jobs. Raises DescriptionError with the reason why none can ever run."""
    judge = Judge(owner, sites)
    jobs = list(expand(normalise(description), MOST_JOBS))
    for job in jobs:
        judge.shape(job)
    return jobs


def handle(event: Event, db: Db) -> Iterable[Event]:
    submission, account, digest = event.data["submission"], event.authid or "", digest_of(event.data)
    if known := db.one("submission", submission=submission):
        return [repeat(event, known, account, digest)]
    try:
        owner = owner_of(account, db.all("standing", account=account), event.data.get("owner_group"))
        jobs = decide(event.data["description"], owner, db.all("sites"))
    except (Denied, DescriptionError) as problem:
        return [event.refuse("denied" if isinstance(problem, Denied) else "invalid", str(problem))]
    needed = sorted({digest for job in jobs for digest in inputs(job)})
    if missing := db.all("missing", digests=json.dumps(needed)) if needed else []:
        return [event.refuse("not_found", unknown(missing[0]["digest"]))]
    first = (db.one("allot", count=len(jobs)) or {})["first_job_id"]
    rows = [{"place": place, "description": job, **labels(job)} for place, job in enumerate(jobs)]
    whose = {"owner": account, "owner_group": owner.group, "vo": owner.vo}
    values = {"submission": submission, "at": event.time, **whose}
    db.run("accept", digest=digest, first_job_id=first, count=len(jobs), event_id=event.id, **values)
    db.run("store", rows=json.dumps(rows), first_job_id=first, **values)
    if needed:
        db.run("need", submission=submission, digests=json.dumps(needed))
    db.run("tell", first_job_id=first, count=len(jobs), at=event.time, event_id=event.id)
    named = ("job_name", "job_group")
    told = [{"job_id": first + r["place"], "submission": submission} | whose | {name: r[name] for name in named} for r in rows]
    facts = [event.answer("job.submitted.v1", data["job_id"], data).of(account, owner.vo) for data in told]
    return [*facts, event.reply({"first_job_id": first, "count": len(jobs)})]


def digest_of(asked: Mapping[str, Any]) -> str:
    """What makes a submission another one under the same key: its description, and the group if it names one."""
    said = {"description": asked["description"], "owner_group": asked["owner_group"]} if "owner_group" in asked else None
    return sha256(json.dumps(said or asked["description"], sort_keys=True).encode()).hexdigest()


def repeat(event: Event, known: dict[str, Any], owner: str, digest: str) -> Event:
    """The answer to a key that was used before: the same ids for the same words of the same owner."""
    if known["owner"] != owner or known["digest"] != digest:
        return event.refuse("conflict", f"submission {event.data['submission']} was used for something else; choose another key")
    return event.reply({"first_job_id": known["first_job_id"], "count": known["count"]})
