"""Kill jobs for whoever has the right to: at once where they wait, by an order to their pilot where they run."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event
from handlers.job.commanding import FEW, ON_PILOT, Command, counted, ranged, singly
from schemas.rules.job_states import MARKED_FOR_TERMINATION
from schemas.rules.selection import movable

CONSUMES = ("job.kill.v1",)
EMITS = ("job.killed.v1", "job.kill_requested.v1", "bulk.killed.v1")
ALONE = True  # in one transaction with others, jobs would stay locked for as long as all take

VALID_S = 86_400
KILLABLE = movable("Killed")
AT_ONCE = [state for state in KILLABLE if state not in ON_PILOT]
OUTCOMES = ("killed", "requested", "acknowledged", "already", "refused")


def handle(event: Event, db: Db) -> Iterable[Event]:
    memberships = db.all("standing", account=event.authid or "")
    try:
        command = Command(event, "Kill", "Killed", memberships)
    except ValueError as problem:
        return [event.refuse("invalid", str(problem))]
    about = {"by": event.authid, "at": event.time, "event_id": event.id, "valid_s": VALID_S}
    while command.goes_on:
        if command.choose(db.all("chosen", **command.next(KILLABLE))):
            command.take(db.all("kill", job_ids=command.allowed, at_once=AT_ONCE, on_pilot=list(ON_PILOT), **about))
    return [*facts(command), command.reply(*OUTCOMES)]


def facts(command: Command) -> Iterable[Event]:
    """What was killed, and each order that was given and had not been before."""
    event, killed = command.event, command.done("killed", on_pilot=False)
    if counted(killed) > FEW:
        yield from ranged(event, "bulk.killed.v1", killed, command.account)
    else:
        yield from singly(event, "job.killed.v1", killed, {"minor_status": MARKED_FOR_TERMINATION})
    for row in command.done("requested", on_pilot=True):
        if row["fresh"]:
            told = {"pilot_id": row["pilot_id"], "requested_by": command.account}
            yield from singly(event, "job.kill_requested.v1", [row], told)
