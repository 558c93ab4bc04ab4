"""Put a checked part of a submission in the task queues of jobs that need the same, all of it in one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.matching import never

CONSUMES = ("bulk.checked.v1",)
EMITS = ("bulk.waiting.v1", "bulk.failed.v1")

MOST_QUEUES = 500  # that one event names
MOST_RANGES = 1_000


def decide(shapes: Sequence[dict[str, Any]], sites: Sequence[dict[str, Any]]) -> dict[int, str]:
    """Which shapes no site can ever run, and why."""
    reasons = {shape["shape"]: never(shape["requirements"], list(sites)) for shape in shapes}
    return {shape: reason for shape, reason in reasons.items() if reason}


def handle_all(events: Sequence[Event], db: Db) -> Iterable[Iterable[Event]]:
    return ([*_schedule(event, db)] for event in events)


def _schedule(event: Event, db: Db) -> Iterator[Event]:
    known = db.one("submission", submission=event.data["submission"])
    if known is None or known["state"] != "Received":
        return
    part = {name: event.data[name] for name in ("submission", "first_job_id", "last_job_id")}
    whose = {name: known[name] for name in ("owner", "owner_group", "vo")}
    moved = part | {"at": event.time, "event_id": event.id}
    for data in _failed(db, moved, decide(db.all("shapes", **part), db.all("sites"))):
        told = {"submission": part["submission"], "minor_status": "No candidate site", **data, **whose}
        yield event.answer("bulk.failed.v1", part["submission"], told).of(known["owner"], known["vo"])
    waits = db.all("wait", **moved)
    for number in range(0, len(waits), MOST_QUEUES):
        told = part | whose | {"queues": waits[number : number + MOST_QUEUES]}
        yield event.answer("bulk.waiting.v1", part["submission"], told).of(known["owner"], known["vo"])


def _failed(db: Db, moved: dict[str, Any], reasons: dict[int, str]) -> Iterator[dict[str, Any]]:
    for shape, reason in reasons.items():
        found = db.all("fail", shape=shape, reason=reason, **moved)
        for number in range(0, len(found), MOST_RANGES):
            ranges = [[row["first"], row["last"]] for row in found[number : number + MOST_RANGES]]
            yield {"ranges": ranges, "count": sum(last - first + 1 for first, last in ranges), "application_status": reason}
