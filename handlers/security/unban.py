"""Let a person or a site in again; a pilot that was revoked stays so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event

CONSUMES = ("security.unban.v1",)
EMITS = ("security.ban_lifted.v1",)


def decide(asked: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[str, str]:
    """The code and the sentence of a refusal, or nothing."""
    if asked["kind"] == "pilot" and known["revoked"]:
        return "conflict", f"pilot {asked['name']} is revoked, and stays so; invite another one"
    if not known["banned"]:
        return "not_found", f"{asked['kind']} {asked['name']} is not banned"
    return "", ""


def handle(event: Event, db: Db) -> Iterable[Event]:
    ban = {"kind": event.data["kind"], "name": event.data["name"]}
    whom = {"kind": ban["kind"], "whom": ban["name"]}
    code, reason = decide(event.data, db.one("known", **whom) or {})
    if code:
        return [event.refuse(code, reason)]
    db.run("lift", **whom)
    db.run("disarm", **whom)
    return [event.answer("security.ban_lifted.v1", "_", ban), event.reply(ban)]
