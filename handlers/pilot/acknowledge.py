"""Keep what became of an order: its pilot has acknowledged it, or its time is up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from schemas.rules.identity import pilot_of

CONSUMES = ("pilot.obeyed.v1", "pilot.order_due.v1")
EMITS = ("pilot.order_ended.v1", "security.refused.v1")


def decide(order: Mapping[str, Any] | None, told: Event) -> tuple[str, str]:
    """The outcome, or the reason why the news changes nothing; both empty for news that is old."""
    if told.type == "pilot.order_due.v1":
        return ("expired", "") if order and order["outcome"] is None else ("", "")
    if order is None or order["pilot_id"] != pilot_of(told.authid or ""):
        return "", f"order {told.data['number']} is not for this pilot"
    return (str(told.data["outcome"]), "") if order["outcome"] is None else ("", "")


def handle(event: Event, db: Db) -> Iterable[Event]:
    number = event.data["number"]
    order = db.one("order", number=number)
    outcome, alarm = decide(order, event)
    if alarm:
        account = event.authid or "unknown"
        told = {"account": account, "reason": alarm, "outcome": "denied", "refused_id": event.id, "refused_type": event.type}
        return [event.answer("security.refused.v1", account, told)]
    if order is None or not outcome:
        return []
    reason = event.data.get("reason")
    db.run("end", number=number, outcome=outcome, reason=reason, at=event.time)
    known = {name: order[name] for name in ("pilot_id", "order", "job_id", "attempt") if order[name] is not None}
    fact = known | {"number": number, "outcome": outcome} | ({"reason": reason} if reason else {})
    ended = event.answer("pilot.order_ended.v1", order["pilot_id"], fact)
    return [ended.of(order["owner"], order["vo"]) if order["owner"] else ended]
