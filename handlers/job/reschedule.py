"""Reschedule jobs for whoever has the right to: a new attempt, three times at most, that waits again after DIRAC's delay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from handlers.job.commanding import FEW, ON_PILOT, Command, counted, ranged, singly
from schemas.rules.job_states import MAX_RESCHEDULING, MAXIMUM_OF_RESCHEDULINGS_REACHED, RESCHEDULE_DELAYS_S
from schemas.rules.selection import movable

CONSUMES = ("job.reschedule.v1",)
EMITS = ("job.rescheduled.v1", "job.kill_requested.v1", "bulk.rescheduled.v1")
ALONE = True  # in one transaction with others, jobs would stay locked for as long as all take

VALID_S = 86_400
PIECE = 2_000  # the ranges of so many are one event of a timer, however they lie
LEGAL = list(movable("Rescheduled"))
UNNAMED = ("Failed",)  # a group is rescheduled for what has failed of it, not for what goes well
OUTCOMES = ("rescheduled", "already", "refused")
WORN = f"{MAXIMUM_OF_RESCHEDULINGS_REACHED}: {MAX_RESCHEDULING}"
TOLD = {"minor_status": "Job Rescheduled"}


def handle(event: Event, db: Db) -> Iterable[Event]:
    """DIRAC's rescheduleJob: MaxRescheduling 3, and JobScheduling's delays by the number of the rescheduling.

    One too many is refused here and changes nothing, where DIRAC makes the job Failed.
    """
    memberships = db.all("standing", account=event.authid or "")
    try:
        command = Command(event, "Reschedule", "Rescheduled", memberships, PIECE)
    except ValueError as problem:
        return [event.refuse("invalid", str(problem))]
    rule = {"legal": LEGAL, "on_pilot": list(ON_PILOT), "most": MAX_RESCHEDULING, "delays_s": list(RESCHEDULE_DELAYS_S)}
    about = {"by": event.authid, "at": event.time, "event_id": event.id, "valid_s": VALID_S}
    while command.goes_on:
        if command.choose(db.all("chosen", **command.next(UNNAMED))):
            command.take(db.all("reschedule", job_ids=command.allowed, **rule, **about), WORN)
    return [*facts(command), command.reply(*OUTCOMES)]


def facts(command: Command) -> Iterable[Event]:
    """What begins a new attempt; of what was on a pilot each job, for its claim is to be released and its pilot to be told."""
    event, quiet = command.event, command.done("rescheduled", on_pilot=False)
    if counted(quiet) > FEW:
        yield from ranged(event, "bulk.rescheduled.v1", quiet, command.account)
    else:
        for row in quiet:
            yield from begun(event, row)
    for row in command.done("rescheduled", on_pilot=True):
        ordered = {"pilot_id": row["pilot_id"], "requested_by": command.account}
        yield from singly(event, "job.kill_requested.v1", [row], ordered)
        yield from begun(event, row)


def begun(event: Event, row: Mapping[str, Any]) -> Iterable[Event]:
    """The next attempt of each of these neighbours, and how long it is held."""
    return singly(event, "job.rescheduled.v1", [row], TOLD | {"delay_s": row["delay_s"]}, later=1)
