"""Keep the lines that pilots stream, and pass them on to whoever follows; numbered, so that a repeat is one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from handlers.log.chunks import numbered, packed

CONSUMES = ("log.written.v1",)
EMITS = ("log.stored.v1", "security.refused.v1")


def decide(written: Mapping[str, Any], job: Mapping[str, Any] | None) -> str | None:
    """None when the pilot may write this: of itself, or of an attempt that is or was its own; else the reason."""
    if "job_id" not in written or (job is not None and job["own"]):
        return None
    return f"pilot {written['pilot_id']} has no attempt {written.get('attempt')} of job {written['job_id']}"


def chunk(written: Mapping[str, Any]) -> dict[str, Any]:
    """The row of this batch, but for whose it is."""
    lines = numbered(written)
    told = {"first_number": lines[0][0], "last_number": lines[-1][0], "count": len(lines)}
    return told | {"first_at": lines[0][1], "last_at": lines[-1][1], "lines": packed(lines)}


def handle(event: Event, db: Db) -> Iterable[Event]:
    written = event.data
    attempt = written.get("attempt", 0)
    job = None
    if "job_id" in written:
        job = db.one("job", job_id=written["job_id"], attempt=attempt, pilot_id=written["pilot_id"])
    if reason := decide(written, job):
        account = event.authid or "unknown"
        told = {"account": account, "reason": reason, "outcome": "denied", "refused_id": event.id, "refused_type": event.type}
        return [event.answer("security.refused.v1", account, told)]
    # not the envelope's subject: a pilot that is called 17 does not write into the log of job 17
    subject = str(written["job_id"]) if job else event.authid
    db.run("keep", subject=subject, attempt=attempt, stream=written["stream"], said_at=event.time, **chunk(written))
    stored = event.answer("log.stored.v1", subject, written)
    return [stored.of(job["owner"], job["vo"]) if job else stored]
