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
    reason = str(report.get("details", {}).get("reason", ""))
    return "Failed" if reason.startswith(FAILED) else "Done"


def handle(event: Event, db: Db) -> Iterable[Event]:
    report = event.data
    told = {name: report[name] for name in ("pilot_id", "site", "phase", "number")}
    details = json.dumps(report.get("details", {}))
    db.run("keep", state=decide(report), account=event.authid or "", details=details, at=event.time, **told)
    if report["phase"] == "leaving":
        db.run("forget", pilot_id=report["pilot_id"])
    return []
