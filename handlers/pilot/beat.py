"""Hear that a pilot lives: renew the leases of the attempts that are its own, and let those go on that had stalled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event

CONSUMES = ("pilot.beat.v1",)
EMITS = ("pilot.found.v1", "job.running.v1")

NODE = ("number", "load", "free_memory_mb", "free_disk_mb")
NAMES = ("job_id", "attempt")
HEARD_AGAIN = "Application"


def decide(jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The attempts in two parts: what names them, and what they use."""
    return [
        {name: job[name] for name in NAMES}
        | ({"measures": used} if (used := {n: v for n, v in job.items() if n not in NAMES}) else {})
        for job in jobs
    ]


def handle_all(events: Sequence[Event], db: Db) -> Iterable[Iterable[Event]]:
    beats = [{"place": place, **_said(event.data)} for place, event in enumerate(events)]
    heard = db.all("beat_all", beats=json.dumps(beats))
    return [_answers(event, pilot, db) for event, pilot in zip(events, heard, strict=True)]


def _said(beat: Mapping[str, Any]) -> dict[str, Any]:
    node = {name: beat[name] for name in NODE if name in beat} | {"jobs": len(beat["jobs"])}
    once = {(job["job_id"], job["attempt"]): job for job in beat["jobs"]}
    return {"pilot_id": beat["pilot_id"], "measures": node, "attempts": decide([*once.values()])}


def _answers(event: Event, pilot: Mapping[str, Any], db: Db) -> Iterable[Event]:
    pilot_id = event.data["pilot_id"]
    if pilot["lost"]:
        db.run("found", pilot_id=pilot_id)
        yield event.answer("pilot.found.v1", pilot_id, {"pilot_id": pilot_id, "site": pilot["site"]})
    for job in pilot["held"]:
        if job["state"] == "Stalled":
            about = {name: job[name] for name in NAMES}
            told = {"minor_status": HEARD_AGAIN, "application_status": f"pilot {pilot_id} is heard again"}
            db.run("move", job_id=job["job_id"], version=job["version"], at=event.time, event_id=event.id, **told)
            yield event.answer("job.running.v1", job["job_id"], about | told).of(job["owner"], job["vo"])
    leases = [{name: job[name] for name in (*NAMES, "lease_s")} for job in pilot["held"]]
    yield event.reply({"beat_s": pilot["beat_s"], "leases": leases})
