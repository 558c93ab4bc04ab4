"""Delete jobs that were over for long, remove those that were Deleted for long, and fold the counts of groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bus import Db, Event
from handlers.job.delete import facts

CONSUMES = ("clock.minute.v1",)
EMITS = ("job.deleted.v1", "bulk.deleted.v1")

MOST, TIMES = 2_000, 20  # of one minute: jobs of a statement, and statements; 57 million jobs a day
RETIRED = ("Done", "Failed", "Killed")
SELF = "pilotbus"


def decide(time: str, days: Mapping[str, int]) -> dict[str, datetime]:
    """Until when jobs in each of these states are too old; one whose days are negative is kept for ever, as with DIRAC."""
    now = datetime.fromisoformat(time)
    return {state: now - timedelta(days=kept) for state, kept in days.items() if kept >= 0}


def handle(event: Event, db: Db, hands: Mapping[str, int]) -> Iterable[Event]:
    """As DIRAC's JobCleaningAgent, whose RemoveStatusDelay `hands` is: for how many days jobs of a state are kept.

    So many at a time that a minute is enough for them; the others follow in the next.
    """
    until = decide(event.time, hands)
    deleted: list[Mapping[str, Any]] = []
    for state in (state for state in RETIRED if state in until):
        # one that is just moved on is not to be deleted, whatever it became
        outdated = {"state": state, "until": until[state], "most": MOST, "legal": [state]}
        for _ in range(TIMES):
            if not (found := db.all("retire", at=event.time, event_id=event.id, **outdated)):
                break
            deleted += found
    for _ in range(TIMES):
        if "Deleted" not in until or not (db.one("purge", until=until["Deleted"], most=MOST) or {})["purged"]:
            break
    db.run("fold")
    return facts(event, [row for row in deleted if row["outcome"] == "deleted"], SELF)
