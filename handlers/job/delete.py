"""Delete jobs for whoever has the right to: they are Deleted at once, and removed when their time is up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from handlers.job.commanding import FEW, Command, counted, ranged, singly
from schemas.rules.selection import movable

CONSUMES = ("job.delete.v1",)
EMITS = ("job.deleted.v1", "bulk.deleted.v1")
ALONE = True  # in one transaction with others, jobs would stay locked for as long as all take

DELETABLE = list(movable("Deleted"))
MINOR_STATUS = "Checking accounting"  # DIRAC's
OUTCOMES = ("deleted", "already", "refused")


def handle(event: Event, db: Db) -> Iterable[Event]:
    """DIRAC's deleteJob also kills what runs; here such a job is refused, and has to be killed before."""
    memberships = db.all("standing", account=event.authid or "")
    try:
        command = Command(event, "Delete", "Deleted", memberships)
    except ValueError as problem:
        return [event.refuse("invalid", str(problem))]
    while command.goes_on:
        if command.choose(db.all("chosen", **command.next(DELETABLE))):
            command.take(db.all("delete", job_ids=command.allowed, legal=DELETABLE, at=event.time, event_id=event.id))
    deleted = command.done("deleted", on_pilot=False)
    return [*facts(event, deleted, command.account), command.reply(*OUTCOMES)]


def facts(event: Event, deleted: Sequence[Mapping[str, Any]], by: str) -> Iterable[Event]:
    """What was deleted: each of a few jobs, else the ranges that they are."""
    if counted(deleted) > FEW:
        return ranged(event, "bulk.deleted.v1", deleted, by)
    return singly(event, "job.deleted.v1", deleted, {"minor_status": MINOR_STATUS})
