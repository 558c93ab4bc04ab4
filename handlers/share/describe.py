"""Keep how fast use is forgotten, as an operator describes it; the newest description counts."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("share.described.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    db.run("keep", half_life_s=event.data["half_life_s"], at=event.time)
    return []
