"""Forget a proxy that has come to its end, and a delegation whose time is up."""

from __future__ import annotations

from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("proxy.expired.v1", "proxy.delegation_expired.v1")
EMITS = ()


def handle(event: Event, db: Db) -> Iterable[Event]:
    if event.type == "proxy.expired.v1":
        db.run("forget", owner=event.data["account"], fingerprint=event.data["fingerprint"])
    else:
        db.run("close", owner=event.data["account"], delegation_id=event.data["delegation_id"])
    return []
