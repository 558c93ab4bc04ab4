"""Show one parked message whole: why it is there, and its bytes."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("parking.show.v1",)
EMITS = ()

MOST_BYTES = 6000  # of 64 KiB, when every one of them has to be escaped


def handle(event: Event, db: Db) -> Iterable[Event]:
    row = db.one("parked", parked_id=event.data["parked_id"])
    if row is None:
        return [event.refuse("not_found", f"nothing is parked under {event.data['parked_id']}")]
    body = bytes(row.pop("body"))[:MOST_BYTES].decode("utf-8", "replace")
    return [event.reply({name: value for name, value in row.items() if value is not None} | {"body": body})]
