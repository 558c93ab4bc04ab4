"""Shut out a person, a pilot or a site, for a while or until it is lifted; a banned pilot is revoked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bus import Db, Event

CONSUMES = ("security.ban.v1",)
EMITS = ("security.banned.v1", "pilot.revoked.v1", "job.kill_requested.v1")

VALID_S = 86_400
SERVICES = ("pilotbus", "guest")


def decide(asked: Mapping[str, Any], asker: str, *, known: bool) -> tuple[str, str]:
    """The code and the sentence of a refusal, or nothing."""
    kind, name = asked["kind"], asked["name"]
    if kind == "user" and name == asker:
        return "invalid", "you can not ban yourself"
    if kind == "user" and (name in SERVICES or name.startswith("pilot-")):
        return "invalid", f"{name} is no person; a pilot is banned by its id"
    if kind == "pilot" and not known:
        return "not_found", f"there is no pilot {name}"
    if kind == "pilot" and "minutes" in asked:
        return "invalid", "a banned pilot is revoked for good, and not for a time"
    if kind != "user" and asked.get("kill_jobs"):
        return "invalid", f"only a person has jobs that can be killed, and not a {kind}"
    return "", ""


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked, name = event.data, event.data["name"]
    known = bool((db.one("known", kind=asked["kind"], whom=name) or {})["known"])
    code, reason = decide(asked, event.authid or "", known=known)
    if code:
        return [event.refuse(code, reason)]
    doomed = db.all("on_pilots", owner=name) if asked.get("kill_jobs") else []
    until = ends(event.time, asked.get("minutes"))
    ban = {"kind": asked["kind"], "name": name}
    whom = {"kind": asked["kind"], "whom": name}
    db.run("ban", by=event.authid, at=event.time, until=until, reason=asked["reason"], **whom)
    if until:
        db.run("arm", until=until, **whom)
    else:
        db.run("disarm", **whom)
    ended = {"until": until} if until else {}
    facts = [event.answer("security.banned.v1", "_", ban | ended | {"reason": asked["reason"], "banned_by": event.authid})]
    if asked["kind"] == "pilot":
        db.run("revoke", pilot_id=name, at=event.time, reason=asked["reason"])
        facts.append(event.answer("pilot.revoked.v1", name, {"pilot_id": name, "reason": asked["reason"]}))
    for job in doomed:
        named = {key: job[key] for key in ("pilot_id", "job_id", "attempt")}
        db.run("order", by=event.authid, valid_s=VALID_S, **named)
        told = {key: job[key] for key in ("job_id", "attempt", "pilot_id")} | {"requested_by": event.authid}
        facts.append(event.answer("job.kill_requested.v1", job["job_id"], told).of(job["owner"], job["vo"]))
    return [*facts, event.reply(ban | ended | {"known": known, "killed": len(doomed)})]


def ends(at: str, minutes: int | None) -> str | None:
    """The moment at which a ban ends by itself."""
    if minutes is None:
        return None
    moment = datetime.fromisoformat(at) + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
