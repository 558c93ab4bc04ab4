"""Give a submission its jobs and their ids, all or none; the same key always gets the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bus import Db, Event
from schemas.rules.attributes import DescriptionError
from schemas.rules.description import normalise
from schemas.rules.matching import never, requirements
from schemas.rules.parametric import expand
from schemas.rules.rights import acting, may

CONSUMES = ("job.submit.v1",)
EMITS = ("job.submitted.v1",)

MOST_JOBS = 1000
MOST_BYTES = 32_768  # of a description as JSON: it travels to the pilot in one reply


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing of a submission was taken."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the jobs are: an account, acting in a group of a community."""

    account: str
    group: str
    vo: str


def owner_of(account: str, memberships: Sequence[Mapping[str, Any]], wanted: str | None) -> Owner | Refusal:
    """In whose name the account submits, or the reason why it may not."""
    try:
        group, vo = acting(account, memberships, wanted)
    except ValueError as problem:
        return Refusal("denied", f"you may not submit: {problem}")
    reason = may("Submit", account, memberships, {"owner": account, "owner_group": group, "vo": vo})
    return Refusal("denied", f"you may not submit: {reason}") if reason else Owner(account, group, vo)


def decide(description: dict[str, Any], owner: Owner, sites: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | Refusal:
    """The descriptions of the jobs, or the reason why none can ever run."""
    try:
        jobs = list(expand(normalise(description), MOST_JOBS))
    except DescriptionError as problem:
        return Refusal("invalid", str(problem))
    seen: set[str] = set()
    for job in jobs:
        if (size := len(json.dumps(job))) > MOST_BYTES:
            return Refusal(
                "invalid", f"a description of {size} bytes is more than {MOST_BYTES}; put what is large in the input sandbox"
            )
        needs = requirements(job, owner.account, owner.group, owner.vo)
        shape = json.dumps(needs, sort_keys=True)
        if shape not in seen and (reason := never(needs, list(sites))):
            return Refusal("invalid", reason)
        seen.add(shape)
    return jobs


def handle(event: Event, db: Db) -> Iterable[Event]:
    submission, account, digest = event.data["submission"], event.authid or "", digest_of(event.data)
    if known := db.one("submission", submission=submission):
        return [repeat(event, known, account, digest)]
    owner = owner_of(account, db.all("standing", account=account), event.data.get("owner_group"))
    if isinstance(owner, Refusal):
        return [event.refuse(owner.code, owner.reason)]
    jobs = decide(event.data["description"], owner, db.all("sites"))
    if isinstance(jobs, Refusal):
        return [event.refuse(jobs.code, jobs.reason)]
    last = (db.one("allot", count=len(jobs)) or {})["last_job_id"]
    first = last - len(jobs) + 1
    rows = [{"job_id": first + place, "description": job, **labels(job)} for place, job in enumerate(jobs)]
    values = {"submission": submission, "owner": account, "at": event.time}
    db.run("accept", digest=digest, first_job_id=first, count=len(jobs), **values)
    db.run("insert_jobs", owner_group=owner.group, vo=owner.vo, event_id=event.id, jobs=json.dumps(rows), **values)
    told = {"submission": submission, "owner": account, "owner_group": owner.group, "vo": owner.vo}
    named = ("job_id", "job_name", "job_group")
    facts = [event.answer("job.submitted.v1", r["job_id"], told | {name: r[name] for name in named}) for r in rows]
    return [*(fact.of(account, owner.vo) for fact in facts), event.reply({"first_job_id": first, "count": len(jobs)})]


def digest_of(asked: Mapping[str, Any]) -> str:
    """What makes a submission another one under the same key: its description, and the group if it names one."""
    said = {"description": asked["description"], "owner_group": asked["owner_group"]} if "owner_group" in asked else None
    return sha256(json.dumps(said or asked["description"], sort_keys=True).encode()).hexdigest()


def labels(job: dict[str, Any]) -> dict[str, Any]:
    """What of a description has columns of its own."""
    return {"job_name": job["JobName"], "job_group": job["JobGroup"], "priority": job["Priority"]}


def repeat(event: Event, known: dict[str, Any], owner: str, digest: str) -> Event:
    """The answer to a key that was used before: the same ids for the same words of the same owner."""
    if known["owner"] != owner or known["digest"] != digest:
        return event.refuse("conflict", f"submission {event.data['submission']} was used for something else; choose another key")
    return event.reply({"first_job_id": known["first_job_id"], "count": known["count"]})
