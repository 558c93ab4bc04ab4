"""Say everything about a job to whoever may see it: attributes, parameters, and what its pilots were ordered about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.inputs import without_digests
from schemas.rules.placed import described
from schemas.rules.rights import may

CONSUMES = ("job.show.v1",)
EMITS = ()


def decide(job: Mapping[str, Any] | None, account: str, memberships: Sequence[Mapping[str, Any]]) -> str:
    """The reason of a refusal, or nothing: a job that may not be seen is not there."""
    return "you have no such job" if job is None or may("GetInfo", account, memberships, job) else ""


def handle(event: Event, db: Db) -> Iterable[Event]:
    job_id, account = event.data["job_id"], event.authid or ""
    job = db.one("job", job_id=job_id)
    memberships = db.all("standing", account=account)
    reason = decide(job, account, memberships)
    if job is None or reason:
        return [event.refuse("not_found", reason)]
    told = {name: job[name] for name in ("job_id", "submission", "reschedules")}
    attributes = described(job)
    if may("GetSandbox", account, memberships, job):
        attributes = without_digests(attributes)
    told |= {"attributes": attributes, "parameters": job["measures"] or {}}
    told["orders"] = [
        {name: value for name, value in order.items() if value is not None} for order in db.all("orders", job_id=job_id)
    ]
    return [event.reply(told)]
