"""Keep that a pilot's wrapper runs on a node or has failed there, from whoever can show the hash of its unused secret."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bus import Db, Event
from schemas.rules.identity import pilot_account

CONSUMES = ("pilot.boot.v1",)
EMITS = ("pilot.booting.v1", "security.refused.v1")

STARTED, FAILED = "wrapper_started", "wrapper_failed"
STATES = {STARTED: "Waiting", FAILED: "Failed"}


def decide(invited: Mapping[str, Any] | None, known: Mapping[str, Any] | None, phase: str) -> tuple[str, bool]:
    """The reason why it is not heard, or nothing; and whether it is news."""
    if invited is None or not invited["proven"]:
        return "this secret is no pilot's", False
    if invited["revoked"]:
        return "this pilot is revoked", False
    # number 0: the pilot itself has said nothing yet
    return "", known is None or (known["number"] == 0 and known["phase"] == STARTED and phase == FAILED)


def handle(event: Event, db: Db) -> Iterable[Event]:
    told = event.data
    pilot_id, phase = told["pilot_id"], told["phase"]
    invited = db.one("invited", pilot_id=pilot_id, secret=told["secret_sha256"])
    reason, news = decide(invited, db.one("known", pilot_id=pilot_id), phase)
    if reason:
        refused = {"refused_id": event.id, "refused_type": event.type, "outcome": "denied"}
        alarm = {"account": pilot_account(pilot_id), "reason": f"{reason} (from {told['peer']})"}
        return [
            event.answer("security.refused.v1", pilot_account(pilot_id), alarm | refused),
            event.refuse("denied", reason),
        ]
    if not news or invited is None:
        return [event.reply({"news": False})]
    details = {name: told[name] for name in ("reason", "exit_code", "host", "system", "peer") if name in told}
    placed = {"pilot_id": pilot_id, "site": invited["site"], "phase": phase}
    account = pilot_account(pilot_id)
    db.run("keep", account=account, state=STATES[phase], details=json.dumps(details), at=event.time, **placed)
    return [event.answer("pilot.booting.v1", pilot_id, placed | details), event.reply({"news": True})]
