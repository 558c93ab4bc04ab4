"""Shut out for ten minutes whoever floods the bus."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bus import Db, Event
from schemas.rules.identity import pilot_of

CONSUMES = ("security.flooded.v1",)
EMITS = ("security.banned.v1",)

SUSPENDED = timedelta(minutes=10)


def decide(account: str) -> dict[str, str]:
    """What is banned: the pilot, or the person."""
    pilot_id = pilot_of(account)
    return {"kind": "user", "name": account} if pilot_id is None else {"kind": "pilot", "name": pilot_id}


def handle(event: Event, db: Db) -> Iterable[Event]:
    ban = decide(event.data["account"])
    until = (datetime.fromisoformat(event.time) + SUSPENDED).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    whom = {"kind": ban["kind"], "whom": ban["name"], "until": until}
    if db.one("out_longer", **whom):
        return []  # an operator's ban is not shortened, and nobody is told that it ends
    told = ban | {"reason": f"it flooded the bus: {event.data['dropped']} messages were too much", "until": until}
    db.run("ban", at=event.time, reason=told["reason"], **whom)
    db.run("arm", **whom)
    return [event.answer("security.banned.v1", "_", told | {"banned_by": "pilotbus"})]
