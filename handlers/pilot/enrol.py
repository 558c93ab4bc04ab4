"""Let a pilot in that shows an unused secret; a second use is an alarm and revokes the pilot that the first one let in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bus import Db, Event
from schemas.rules.identity import pilot_account

CONSUMES = ("pilot.enrol.v1",)
EMITS = ("pilot.enrolled.v1", "pilot.revoked.v1", "security.secret_reused.v1", "security.refused.v1")

LEAST_VERSION = "2026.1.0"
REFUSED = {
    "unknown": "this secret lets nobody in",
    "wrong": "this secret lets nobody in",
    "revoked": "this pilot is revoked",
    "reused": "this secret was used before; whoever it let in is revoked",
    "expired": "this secret has expired",
}


class Hands(Protocol):
    """The issuer."""

    def pilot(self, pilot_id: str) -> Any:
        """A pilot's token."""
        ...


def decide(outcome: str, banned: str | None) -> str:
    """The reason why this pilot is not let in, or nothing."""
    return REFUSED.get(outcome, "") or banned or ""


def handle(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked = event.data
    pilot_id, peer = asked["pilot_id"], asked["peer"]
    used = {"secret": asked["secret_sha256"], "use": asked["use_sha256"], "peer": peer, "at": event.time}
    found = db.one("enrol", pilot_id=pilot_id, **used) or {}
    standing = db.one("standing", account=pilot_account(pilot_id)) or {}
    if reason := decide(found["outcome"], standing["banned"]):
        return [*alarms(event, found, reason), event.refuse("denied", reason)]
    settled = configuration([row["pilot"] for row in db.all("configurations", pilot_id=pilot_id)])
    facts = []
    if found["outcome"] == "enrolled":
        about = {"pilot_id": pilot_id, "site": found["site"], "peer": peer, "version": asked.get("version", "")}
        facts = [event.answer("pilot.enrolled.v1", pilot_id, about)]
    token = hands.pilot(pilot_id)
    placed = {name: found[name] for name in ("site", "ce", "vo", "tags")}
    told = {"pilot_id": pilot_id, "token": token.text, "expires_at": token.expires_at, "least_version": LEAST_VERSION}
    return [*facts, event.reply(told | placed | ({"configuration": settled} if settled else {}))]


def configuration(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One set of settings: of two the later counts, and the changes of plans come one after the other."""
    found: dict[str, Any] = {}
    for layer in layers:
        plans = [*found.get("plans", ()), *layer.get("plans", ())]
        found |= layer
        if plans:
            found["plans"] = plans
    return found


def alarms(event: Event, found: dict[str, Any], reason: str) -> list[Event]:
    """What is said to those who watch when a secret does not let in."""
    pilot_id, peer = event.data["pilot_id"], event.data["peer"]
    if found["outcome"] == "reused":
        reused = {"pilot_id": pilot_id, "site": found["site"], "peer": peer}
        return [
            event.answer("security.secret_reused.v1", pilot_id, reused),
            event.answer("pilot.revoked.v1", pilot_id, {"pilot_id": pilot_id, "reason": f"{reason}, from {peer}"}),
        ]
    told = {"account": pilot_account(pilot_id), "reason": f"{reason} (from {peer})", "outcome": "denied"}
    refused = {"refused_id": event.id, "refused_type": event.type}
    return [event.answer("security.refused.v1", pilot_account(pilot_id), told | refused)]
