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


def handle(event: Event, db: Db) -> Iterable[Event]:
    beat, pilot_id = event.data, event.data["pilot_id"]
    pilot = db.one("pilot", pilot_id=pilot_id) or {"site": "", "beat_s": 60, "lost": False}
    node = json.dumps({name: beat[name] for name in NODE if name in beat} | {"jobs": len(beat["jobs"])})
    attempts = json.dumps(decide(beat["jobs"]))
    held = db.all("beat", pilot_id=pilot_id, site=pilot["site"], measures=node, attempts=attempts)
    facts = []
    if pilot["lost"]:
        db.run("found", pilot_id=pilot_id)
        facts.append(event.answer("pilot.found.v1", pilot_id, {"pilot_id": pilot_id, "site": pilot["site"]}))
    for job in held:
        if job["state"] == "Stalled":
            about = {name: job[name] for name in NAMES}
            told = {"minor_status": HEARD_AGAIN, "application_status": f"pilot {pilot_id} is heard again"}
            db.run("move", job_id=job["job_id"], version=job["version"], at=event.time, event_id=event.id, **told)
            facts.append(event.answer("job.running.v1", job["job_id"], about | told).of(job["owner"], job["vo"]))
    leases = [{name: job[name] for name in (*NAMES, "lease_s")} for job in held]
    return [*facts, event.reply({"beat_s": pilot["beat_s"], "leases": leases})]
