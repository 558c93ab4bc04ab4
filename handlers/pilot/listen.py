"""Tell a pilot its orders, now or when there are any; its request parks until then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bus import Db, Event

CONSUMES = ("pilot.listen.v1",)
WAKES = ("job.kill_requested.v1", "pilot.ordered.v1")
EMITS = ()
EMPTY: dict[str, Any] = {"orders": []}


def decide(requests: Sequence[Event], wakes: Sequence[Event]) -> list[Event]:
    """The requests whose pilots may have orders: all that are new, and of the parked those that a wake names."""
    woken = {wake.data["pilot_id"] for wake in wakes}
    return [request for request in requests if not wakes or request.data["pilot_id"] in woken]


def answer(requests: Sequence[Event], wakes: Sequence[Event], db: Db) -> Iterable[Event]:
    for request in decide(requests, wakes):
        orders = db.all("orders", pilot_id=request.data["pilot_id"], after=request.data["after"])
        if orders:
            yield request.reply({"orders": [{n: v for n, v in order.items() if v is not None} for order in orders]})
