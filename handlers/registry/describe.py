"""Keep communities, groups and accounts as their operator describes them; the newest description counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.names import refused_account, subject

CONSUMES = ("vo.described.v1", "group.described.v1", "user.described.v1")
EMITS = ("group.refused.v1", "user.refused.v1")

JOB_SHARE = 1000
Rows = Sequence[Mapping[str, Any]]


def decide(told: Mapping[str, Any], dns: Sequence[str], known_groups: Rows, holders: Rows) -> str | None:
    """None when the account may be described so; else the reason why nothing changes."""
    if reason := refused_account(told["account"]):
        return reason
    if len(set(told["groups"])) < len(told["groups"]):
        return "a group is named twice"
    unknown = sorted(set(told["groups"]) - {row["group"] for row in known_groups})
    if unknown:
        return f"there is no group {', '.join(unknown)}"
    if len(set(dns)) < len(dns):
        return "a subject is named twice"
    for row in holders:
        if row["account"] != told["account"]:
            return f"{min(set(dns) & set(row['dns']))} belongs to account {row['account']}"
    return None


def handle(event: Event, db: Db) -> Iterable[Event]:
    edition = (db.one("edition") or {})["number"]
    if db.one("newer", kind=event.type.split(".")[0], called=event.data[_KEYS[event.type]], at=event.time):
        return []
    return _KEEP[event.type](event, db, edition)


def _vo(event: Event, db: Db, edition: int) -> list[Event]:
    told = event.data
    policy = {"description": told.get("description", ""), "least_isolation": told.get("least_isolation", "none")}
    policy["pilot"] = json.dumps(told.get("pilot", {}))
    db.run("keep_vo", edition=edition, vo=told["vo"], at=event.time, **policy)
    return []


def _group(event: Event, db: Db, edition: int) -> list[Event]:
    told = event.data
    if db.one("vo", vo=told["vo"]) is None:
        return _refusal(event, db, edition, f"there is no community {told['vo']}")
    properties = sorted(set(told["properties"]))
    named = {"group": told["group"], "vo": told["vo"], "job_share": told.get("job_share", JOB_SHARE)}
    db.run("keep_group", edition=edition, properties=properties, at=event.time, **named)
    return []


def _user(event: Event, db: Db, edition: int) -> list[Event]:
    told = event.data
    try:
        dns = [subject(text) for text in told.get("dns", [])]
    except ValueError as problem:
        return _refusal(event, db, edition, str(problem))
    if reason := decide(told, dns, db.all("groups", groups=told["groups"]), db.all("holders", dns=dns)):
        return _refusal(event, db, edition, reason)
    named = {"account": told["account"], "groups": told["groups"], "email": told.get("email", "")}
    db.run("keep_user", edition=edition, dns=dns, at=event.time, **named)
    return []


def _refusal(event: Event, db: Db, edition: int, reason: str) -> list[Event]:
    db.run("still", edition=edition)  # what is missing may have come with the event just before this one
    key = _KEYS[event.type]
    kind = event.type.replace("described", "refused")
    return [event.answer(kind, event.subject, {key: event.data[key], "reason": reason})]


_KEYS = {"vo.described.v1": "vo", "group.described.v1": "group", "user.described.v1": "account"}
_KEEP = {"vo.described.v1": _vo, "group.described.v1": _group, "user.described.v1": _user}
