"""Tell that nothing is heard of a pilot: its jobs are Stalled until it is heard again, and after an hour it is given up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("pilot.silent.v1",)
EMITS = ("pilot.lost.v1", "job.stalled.v1")

GIVEN_UP_S = 3600  # DIRAC's
STALLED = "Job stalled: pilot not running"  # DIRAC's


def decide(beat: Mapping[str, Any] | None) -> str:
    """The pilot's state from now on, its own when it has left; nothing when it has beaten since the timer was due."""
    if beat is None or beat["heard"]:
        return ""
    if beat["state"] not in ("Running", "Unknown", "Waiting"):
        return str(beat["state"])
    return "Aborted" if beat["state"] == "Unknown" else "Unknown"


def handle(event: Event, db: Db) -> Iterable[Event]:
    pilot_id = event.data["pilot_id"]
    db.one("lock", pilot_id=pilot_id)
    beat = db.one("beat", pilot_id=pilot_id)
    state = decide(beat)
    if beat is None or not state:
        return []
    if state == beat["state"]:
        db.run("forget", pilot_id=pilot_id)
        return []
    jobs = db.all("jobs", pilot_id=pilot_id)
    db.run("lose", pilot_id=pilot_id, state=state)
    if state == "Unknown":
        db.run("wait", pilot_id=pilot_id, within_s=GIVEN_UP_S)
    else:
        db.run("forget", pilot_id=pilot_id)
    told = {"minor_status": STALLED, "application_status": f"pilot {pilot_id} misses beats"}
    facts = []
    for job in jobs:
        db.run("move", job_id=job["job_id"], version=job["version"], at=event.time, event_id=event.id, **told)
        about = {name: job[name] for name in ("job_id", "attempt")}
        facts.append(event.answer("job.stalled.v1", job["job_id"], about | told).of(job["owner"], job["vo"]))
    lost = {"pilot_id": pilot_id, "site": beat["site"], "state": state, "last_beat_at": beat["at"], "jobs": len(jobs)}
    return [event.answer("pilot.lost.v1", pilot_id, lost), *facts]
