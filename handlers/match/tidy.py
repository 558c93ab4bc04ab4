"""Let days of empty answers and of what was offered go when they are old, and have room for the days to come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from bus import Db, Event

CONSUMES = ("clock.minute.v1",)
EMITS = ()


def decide(time: str, days: int) -> tuple[date, int]:
    """The day, and how many before it are kept; never less than one, so that what was just written stays."""
    return datetime.fromisoformat(time).date(), max(1, days)


def handle(event: Event, db: Db, hands: int) -> Iterable[Event]:
    """`hands` is for how many days they are kept."""
    today, days = decide(event.time, hands)
    db.run("empties", today=today, days=days)
    db.run("reasons", today=today, days=days)
    db.run("offers", today=today, days=days)
    return []
