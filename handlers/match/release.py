"""Release the claim of an attempt that is over, and with it, once, what it counted against limits and shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("job.done.v1", "job.failed.v1", "job.killed.v1", "job.rescheduled.v1")
EMITS = ("match.released.v1",)


def decide(kind: str, attempt: int) -> int:
    """The last attempt that is over: with a job that is rescheduled, the one before the attempt that begins."""
    return attempt - 1 if kind == "job.rescheduled.v1" else attempt


def handle(event: Event, db: Db) -> Iterable[Event]:
    db.one("note", job_id=event.data["job_id"], last_attempt=decide(event.type, event.data["attempt"]))
    # events that came together note all that is over before the first of them releases it all
    return [released(event, place) for place in db.all("release")]


def released(event: Event, place: dict[str, str]) -> Event:
    """More may be matched there; which owner's job made room is nobody's business."""
    told = {name: value for name, value in place.items() if value}
    return dataclasses.replace(event.answer("match.released.v1", place["site"].replace(".", "_"), told), owner=None, vo=None)
