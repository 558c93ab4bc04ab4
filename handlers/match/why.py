"""Say why a job waits or a pilot gets none, now or then: how many fail each requirement, the nearest miss, what else holds it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bus import Db, Event
from handlers.match import told
from schemas.rules.explain import HOUR, cut, headed, in_words, offered, why_job
from schemas.rules.matching import never
from schemas.rules.rights import READS_PILOTS, may, reads_pilots

CONSUMES = ("match.why.v1",)
EMITS = ()

MOST_OFFERS = 5000
MOST_AHEAD = 1001
LONGEST = 2000


def decide(holds: Sequence[str | None], why: Mapping[str, Any], ahead: int) -> list[str]:
    """Why a job waits: what holds it whatever pilots there are, then what pilots lack or that it waits for its turn."""
    turn = why["fitting_resources"] and not any(holds)
    last = told.of_turn(why["headline"], ahead, MOST_AHEAD) if turn else why["headline"]
    return [*filter(None, holds), last]


def then(event: Event) -> str | None:
    """The moment of the past that is asked about; None for now."""
    at: str | None = event.data.get("at")
    return at if at and datetime.fromisoformat(at) < datetime.fromisoformat(event.time) else None


def handle(event: Event, db: Db, hands: Collection[str]) -> Iterable[Event]:
    """`hands` are the accounts that operate without an entry in the registry."""
    asked, account = event.data, event.authid or ""
    if ("job_id" in asked) == ("pilot_id" in asked):
        return [event.refuse("invalid", "say either job_id or pilot_id")]
    memberships, at = db.all("standing", account=account), then(event)
    if "job_id" in asked:
        job = db.one("job", job_id=asked["job_id"])
        if job is None or may("GetInfo", account, memberships, job):
            return [event.refuse("not_found", f"you have no job {asked['job_id']}")]
        step = db.one("step", job_id=job["job_id"], at=at)
        if step is None:
            return [event.refuse("not_found", f"there was no job {job['job_id']} at {at}")]
        return [event.reply(_of_job(job, step, at, db))]
    if not reads_pilots(account, memberships, hands):
        needs = " or ".join(sorted(READS_PILOTS))
        return [event.refuse("denied", f"to ask why a pilot gets no job, {account} needs the property {needs}")]
    pilot = db.one("pilot", pilot_id=asked["pilot_id"])
    if pilot is None:
        return [event.refuse("not_found", f"there is no pilot {asked['pilot_id']}")]
    return [event.reply(_of_pilot(pilot, at, db))]


def _of_job(job: dict[str, Any], step: dict[str, Any], at: str | None, db: Db) -> dict[str, Any]:
    shown = {"job": {"job_id": job["job_id"], **step}}
    if step["state"] != "Waiting" or job["requirements"] is None:
        return _sentences([told.of_job(job, step, at)]) | shown
    needs = job["requirements"] | {"LeastIsolation": job["least_isolation"] or "none"}
    ban = db.one("ban", owner=job["owner"], at=at)
    place = {name: job[name] for name in ("queue_id", "priority", "job_id")}
    before = None if at else db.one("ahead", **place, most=MOST_AHEAD)
    # how sites were described then, and how limits stood, is not known
    sites = [] if at else db.all("sites")
    reached = [] if at else db.all("limits", job_id=job["job_id"])
    offers = told.held(told.masked_at(sites, db.all("offers", at=at, most=MOST_OFFERS)), reached)
    found = why_job(needs, offers, f"the hour before {at}" if at else HOUR)
    holds = [
        f"user {job['owner']} is banned: {ban['reason']}" if ban else None,
        never(needs, sites),
    ]
    said = decide(holds, found, before["jobs"] if before else 0)
    return found | _sentences([told.of_waiting(job, step, at, said[0]), *said[1:]]) | shown


def _of_pilot(pilot: dict[str, Any], at: str | None, db: Db) -> dict[str, Any]:
    pilot_id = pilot["pilot_id"]
    phase = db.one("phase", pilot_id=pilot_id, at=at)
    rows = db.all("ran", pilot_id=pilot_id, at=at) if at else db.all("runs", pilot_id=pilot_id)
    if empty := db.one("empty", pilot_id=pilot_id, at=at):
        empty["reasons"] = headed(empty["reasons"])
    jobs = [row["job_id"] for row in rows]
    said = told.of_pilot(pilot, phase, jobs, empty, at)
    known = {"phase": phase["phase"], "since": phase["since"]} if phase else {}
    found = _sentences([f"pilot {pilot_id}: {said[0]}", *said[1:]])
    return found | {"pilot": {"pilot_id": pilot_id, "site": pilot["site"], "jobs": jobs} | known} | _shown(empty)


def _sentences(said: Sequence[str]) -> dict[str, Any]:
    headline, *also = [cut(sentence, LONGEST) for sentence in said]
    return {"headline": headline, "also": also}


def _shown(empty: dict[str, Any] | None) -> dict[str, Any]:
    """A kept answer without a job as the reply shows it."""
    if empty is None:
        return {}
    why, resource = empty["reasons"], empty["resource"]
    fails = [{"field": field, "has": offered(field, resource), "queues": count} for field, count in why["fails"].items()]
    fails.sort(key=lambda row: (-row["queues"], row["field"]))  # in the database an object has no order
    about = {"at": empty["at"], "request_id": empty["request_id"], "resource": in_words(resource)}
    shown = {"empty": about | {"queues": why["queues"], "fits": why["fits"]}, "requirements": fails}
    return shown | ({"nearest": why["nearest"]} if why.get("nearest") else {})
