"""Say how a running job is, now: its pilot is told to beat, and the request parks until it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.rights import may

CONSUMES = ("job.peek.v1",)
WAKES = ("pilot.order_ended.v1",)
EMITS = ("pilot.ordered.v1",)
EMPTY = {"fresh": False}

ON_PILOT = ("Running", "Completing", "Stalled")


def decide(job: Mapping[str, Any] | None, account: str, memberships: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The code and the reason of a refusal, or nothing: a job that may not be seen is not there."""
    if job is None or may("GetInfo", account, memberships, job):
        return "not_found", "you have no such job"
    return (
        ("", "") if job["state"] in ON_PILOT else ("conflict", f"job {job['job_id']} is {job['state']}: there is nothing to see")
    )


def answer(requests: Sequence[Event], wakes: Sequence[Event], db: Db) -> Iterable[Event]:
    heard = {wake.data["job_id"]: wake.data["outcome"] == "taken" for wake in wakes if wake.data["order"] == "peek"}
    for request in requests:
        job_id, account = request.data["job_id"], request.authid or ""
        if wakes:
            if job_id in heard:
                yield request.reply({"fresh": heard[job_id]} | said(db.one("usage", job_id=job_id)))
            continue
        job = db.one("job", job_id=job_id)
        code, reason = decide(job, account, db.all("standing", account=account))
        if job is None or code:
            yield request.refuse(code, reason)
            continue
        about = {"pilot_id": job["pilot_id"], "job_id": job_id, "attempt": job["attempt"]}
        given = db.one("give", by=account, valid_s=max(1, request.data["wait_s"] - 1), **about) or {}
        if given["fresh"]:
            fact = about | {"number": given["number"], "order": "peek", "requested_by": account}
            yield request.answer("pilot.ordered.v1", job["pilot_id"], fact).of(job["owner"], job["vo"])


def said(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the pilot said last of the job."""
    return {} if usage is None else {"at": usage["at"], "attempt": usage["attempt"], **usage["measures"]}
