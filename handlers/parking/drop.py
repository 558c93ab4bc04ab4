"""Settle a parked message for good; its bytes and who dropped it stay on record."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("parking.drop.v1",)
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    parked_id = event.data["parked_id"]
    if db.one("settle", parked_id=parked_id, by=event.authid, at=event.time) is None:
        return [event.refuse("not_found", f"nothing is parked under {parked_id}, or it is settled already")]
    return [event.reply({"parked_id": parked_id})]
