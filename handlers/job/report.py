"""Move a job as the pilot that runs it reports; a late, double or illegal report changes nothing and is told so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from schemas.rules.identity import pilot_of
from schemas.rules.job_states import FINAL, decide_move

CONSUMES = ("job.reported.v1",)
EMITS = (
    "job.running.v1", "job.completing.v1", "job.done.v1", "job.failed.v1", "job.killed.v1",
    "job.refused.v1", "security.refused.v1",
)  # fmt: skip

OPTIONAL = ("application_status", "exit_code")
SAID_AT_START = ("isolation",)


def decide(job: Mapping[str, Any] | None, report: Mapping[str, Any], pilot_id: str | None) -> str | None:
    """None when the report moves the job; else the reason why it changes nothing."""
    if job is None:
        return f"there is no job {report['job_id']}"
    if job["pilot_id"] != pilot_id:
        return f"job {job['job_id']} does not run on pilot {pilot_id}"
    progress = job["state"] == report["state"] and job["minor_status"] != report["minor_status"]
    if progress and job["state"] in {"Running", "Completing"} and job["attempt"] == report["attempt"]:
        return None
    return decide_move(job["state"], report["state"], job["attempt"], report["attempt"])


def handle(event: Event, db: Db) -> Iterable[Event]:
    report = event.data
    job = db.one("job", job_id=report["job_id"])
    reason = decide(job, report, pilot_of(event.authid or ""))
    if job is None or reason:
        told = {"job_id": report["job_id"], "attempt": report["attempt"], "wanted_state": report["state"]}
        state = job["state"] if job else "unknown"
        refused = event.answer("job.refused.v1", event.subject, told | {"state": state, "reason": reason})
        return [refused.of(job["owner"], job["vo"]) if job else refused, alarm(event, reason or "")]
    # the job before its timers, as a beat locks them
    named = {name: report[name] for name in ("job_id", "state", "minor_status")}
    application = report.get("application_status")
    db.run("move", version=job["version"], application=application, at=event.time, event_id=event.id, **named)
    if report["state"] in FINAL:
        db.run("disarm", job_id=report["job_id"])
    elif job["state"] == "Matched":
        db.run("begin", job_id=report["job_id"])
    if "isolation" in report:
        db.run("isolation", job_id=report["job_id"], isolation=report["isolation"])
    if "exit_code" in report or "output" in report:
        output = report.get("output") or {}
        result = {"output_digest": output.get("digest"), "output_bytes": output.get("size_bytes")}
        db.run("result", job_id=report["job_id"], exit_code=report.get("exit_code"), **result)
    told = {name: report[name] for name in ("job_id", "attempt", "minor_status", *OPTIONAL) if name in report}
    if report["state"] == "Running":
        told |= {name: report[name] for name in SAID_AT_START if name in report}
    return [event.answer(f"job.{report['state'].lower()}.v1", event.subject, told).of(job["owner"], job["vo"])]


def alarm(event: Event, reason: str) -> Event:
    """Whoever reports what is not its own to report is told of to those who watch."""
    account = event.authid or "unknown"
    told = {"account": account, "reason": reason, "outcome": "denied", "refused_id": event.id, "refused_type": event.type}
    return event.answer("security.refused.v1", account, told)
