"""Keep a site as its operator describes it; the newest description counts."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bus import Db, Event

CONSUMES = ("site.described.v1",)
EMITS = ()

OPTIONAL = {"description": "", "max_processors": None, "max_ram_mb": None, "max_cpu_time_s": None}
LOST = {"beat_s": None, "lease_s": None, "when_lost": None}


def handle(event: Event, db: Db) -> Iterable[Event]:
    site = OPTIONAL | LOST | {"tags": []} | event.data
    named = {name: site[name] for name in ("site", "status", "tags", *OPTIONAL, *LOST)}
    db.run("keep", at=event.time, pilot=json.dumps(site.get("pilot", {})), **named)
    return []
