"""Keep what a pilot says of itself: where it is in its life, and what it has found on its node."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("pilot.reported.v1",)
EMITS = ()

FAILED = ("failed", "refused")


def decide(report: Mapping[str, Any]) -> str:
    """DIRAC's pilot state for a phase."""
    if report["phase"] != "leaving":
        return "Running"
    details = report.get("details", {})
    failed = details.get("failed") is True or str(details.get("reason", "")).startswith(FAILED)
    return "Failed" if failed else "Done"


def step(report: Mapping[str, Any]) -> dict[str, Any]:
    """What statistics want of a phase."""
    told = {name: report.get(name) for name in ("seconds", "job_id", "attempt")}
    reason = str(report.get("details", {}).get("reason", ""))[:500] if report["phase"] == "leaving" else None
    return told | {"reason": reason, "failed": decide(report) == "Failed"}


def handle(event: Event, db: Db) -> Iterable[Event]:
    report = event.data
    told = {name: report[name] for name in ("pilot_id", "site", "phase", "number")}
    details = json.dumps(report.get("details", {}))
    db.run("keep_phase", account=event.authid or "", at=event.time, **told, **step(report))
    db.run("keep", state=decide(report), account=event.authid or "", details=details, at=event.time, **told)
    if report["phase"] == "leaving":
        db.run("forget", pilot_id=report["pilot_id"])
    return []
