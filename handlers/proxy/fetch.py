"""Give the pilot that has a job a limited and short-lived proxy of the job's owner, and nobody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bus import Db, Event
from handlers.proxy.hands import REFUSALS, Hands, about_proxy
from handlers.proxy.keys import Unacceptable, new_key, read_key
from handlers.proxy.x509 import fingerprint, moment, proxy_pem, read_chain, sign_proxy
from schemas.rules.identity import pilot_of

CONSUMES = ("proxy.fetch.v1",)
EMITS = ("proxy.handed_out.v1",)

LEASE_S = 1800
SLACK_S = 300
HOLDING = ("Matched", "Running", "Completing")


def decide(asked: Mapping[str, Any], job: Mapping[str, Any] | None, account: str) -> str:
    """The sentence of a refusal, or nothing when this account is the pilot that has this attempt."""
    pilot_id = pilot_of(account)
    if pilot_id is None or pilot_id != asked["pilot_id"]:
        return f"{account} is not pilot {asked['pilot_id']}"
    holds = job is not None and job["pilot_id"] == pilot_id and job["attempt"] == asked["attempt"] and job["state"] in HOLDING
    if job is None or not holds:
        return f"pilot {pilot_id} does not have attempt {asked['attempt']} of job {asked['job_id']}"
    return f"its owner is shut out: {job['banned']}" if job["banned"] else ""


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked = event.data
    job = db.one("job", job_id=asked["job_id"])
    reason = decide(asked, job, event.authid or "")
    if job is None or reason:
        return [event.refuse("denied", reason)]
    owner = job["owner"]
    kept = db.one("proxy", owner=owner)
    if kept is None:
        return [event.refuse("not_found", f"{owner} has no proxy here")]
    try:
        pem = hands.vault.open(bytes(kept["sealed"]), about_proxy(owner, kept["fingerprint"]))
        chain = read_chain(pem.decode())
        hands.authorities.judge(chain)  # again, because it may have been revoked since
        key = new_key()
        handed = sign_proxy(chain, read_key(pem), key.public_key(), timedelta(seconds=LEASE_S + SLACK_S), limited=True)
    except REFUSALS as problem:
        code = "denied" if isinstance(problem, Unacceptable) else "unavailable"
        return [event.refuse(code, f"the proxy of {owner} can not be used: {problem}")]
    db.run("handed", owner=owner, fingerprint=kept["fingerprint"], at=event.time)
    ends = handed[0].not_valid_after_utc
    told = {"account": owner, "fingerprint": fingerprint(handed[0]), "not_after": moment(ends)}
    left = {"not_after": moment(ends), "valid_s": max(0, int((ends - datetime.now(UTC)).total_seconds()))}
    return [
        event.answer("proxy.handed_out.v1", asked["job_id"], {**asked, **told}).of(owner, job["vo"]),
        event.reply({"pem": proxy_pem(handed, key), **left}),
    ]
