"""Keep the lines that pilots stream, and pass them on to whoever follows; numbered, so that a repeat is one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("log.written.v1",)
EMITS = ("log.stored.v1",)


def decide(written: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row a line, numbered on from the first."""
    first = written["first_number"]
    return [{"number": first + place, **line} for place, line in enumerate(written["lines"])]


def handle(event: Event, db: Db) -> Iterable[Event]:
    written = event.data
    lines = json.dumps(decide(written))
    db.run("keep", subject=event.subject, attempt=written.get("attempt", 0), stream=written["stream"], lines=lines)
    return [event.answer("log.stored.v1", event.subject, written)]
