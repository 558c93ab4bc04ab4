"""Remove sandboxes from the store that nobody has needed for so many days: no job names them, and none was just put."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bus import Db, Event

CONSUMES = ("clock.minute.v1",)
EMITS = ()

MOST = 200  # of one minute


@dataclass(frozen=True, slots=True)
class Hands:
    """The store, if there is one here, and for how many days a sandbox is kept that nobody needs."""

    store: Any
    days: int


def decide(time: str, days: int) -> datetime:
    """Since when nobody must have needed a sandbox that goes; negative days are for ever."""
    now = datetime.fromisoformat(time)
    return now - timedelta(days=days) if days >= 0 else datetime.min.replace(tzinfo=now.tzinfo, year=1970)


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    """As DIRAC's sandbox store, which removes after 15 days what no job was ever assigned."""
    if hands.store is None:
        return []
    for row in db.all("begin", until=decide(event.time, hands.days), most=MOST):
        if db.one("go_on", digest=row["digest"]):
            hands.store.remove(row["digest"])
            db.run("removed", digest=row["digest"])
    return []
