"""Keep a site as its operator describes it, with what may run there at most; the newest description counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from schemas.rules.limits import ALL_JOBS

CONSUMES = ("site.described.v1",)
EMITS = ("match.released.v1",)

OPTIONAL = {"description": "", "max_processors": None, "max_ram_mb": None, "max_cpu_time_s": None}
LOST = {"beat_s": None, "lease_s": None, "when_lost": None}
LISTS: dict[str, list[str]] = {"tags": [], "storage_elements": []}
UNLIMITED = {"most": None, "delay_s": None, "burst": 1}


def limits(site: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for all that is said of the same jobs at the same place; of two sayings the later one."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for said in (*site.get("running_limits", ()), *site.get("match_delays", ())):
        value = ALL_JOBS if said["attribute"] == ALL_JOBS else said["value"]
        named = {"ce": said.get("ce", ""), "attribute": said["attribute"], "value": value}
        row = rows.setdefault(tuple(named.values()), named | UNLIMITED)
        row |= {name: said[name] for name in UNLIMITED if name in said}
    return list(rows.values())


def handle(event: Event, db: Db) -> Iterable[Event]:
    db.one("alone")
    site = OPTIONAL | LOST | LISTS | event.data
    named = {name: site[name] for name in ("site", "status", *LISTS, *OPTIONAL, *LOST)}
    db.run("keep", at=event.time, pilot=json.dumps(site.get("pilot", {})), **named)
    db.run("limits", site=site["site"], at=event.time, limits=json.dumps(limits(site)))
    # it may let in what has waited
    return [event.answer("match.released.v1", site["site"].replace(".", "_"), {"site": site["site"]})]
