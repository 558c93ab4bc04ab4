"""Give whoever starts pilots one enrolment secret each, bound to site and owner; only its SHA-256 is kept."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from bus import Db, Event

CONSUMES = ("pilot.invite.v1",)
EMITS = ("pilot.invited.v1",)

LIFETIME_S = 86_400
PLACED = {"ce": "", "vo": "", "owner": "", "owner_group": ""}


def decide(pilot_id: str | None, count: int) -> tuple[list[str], str]:
    """The ids of the pilots, or none and the reason."""
    if pilot_id is not None:
        return ([pilot_id], "") if count == 1 else ([], "one id is for one pilot: leave out pilot_id, or count")
    return [str(uuid.uuid4()) for _ in range(count)], ""


def act(event: Event, db: Db, hands: Any) -> Iterable[Event]:
    asked = PLACED | event.data
    ids, reason = decide(asked.get("pilot_id"), asked.get("count", 1))
    if reason:
        return [event.refuse("invalid", reason)]
    drawn = {pilot_id: f"pbs1.{pilot_id}.{secrets.token_urlsafe(32)}" for pilot_id in ids}
    expires_at = datetime.fromisoformat(event.time) + timedelta(seconds=asked.get("lifetime_s", LIFETIME_S))
    until = expires_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    rows = [{"pilot_id": pilot_id, "sha256": sha256(secret.encode()).hexdigest()} for pilot_id, secret in drawn.items()]
    placed = {name: asked[name] for name in ("site", *PLACED)}
    kept = {"by": event.authid, "at": event.time, "until": until, "tags": asked.get("tags", [])}
    if not db.all("invite", rows=json.dumps(rows), **placed, **kept):
        return [event.refuse("conflict", f"pilot {ids[0]} was invited before; an id is for one pilot")]
    told = placed | {"invited_by": event.authid, "expires_at": until}
    facts = [event.answer("pilot.invited.v1", pilot_id, {"pilot_id": pilot_id} | told) for pilot_id in ids]
    pilots = [{"pilot_id": pilot_id, "secret": secret, "expires_at": until} for pilot_id, secret in drawn.items()]
    return [*facts, event.reply({"pilots": pilots})]
