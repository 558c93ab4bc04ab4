"""Accept all jobs of a submission that was stored, in one step; a part of it, another's, or an expired one is refused whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bus import Db, Event
from bus.errors import Conflict, Later

CONSUMES = ("bulk.confirm.v1",)
EMITS = ("bulk.confirmed.v1",)
ALONE = True  # in one transaction with others, jobs would stay locked for as long as all take

AT_ONCE = 50_000


def decide(asked: Mapping[str, Any], known: Mapping[str, Any] | None, account: str) -> tuple[str, str]:
    """Why it is refused, as a code and one sentence; or nothing."""
    named = f"submission {asked['submission']}"
    if known is None or known["owner"] != account:
        return "not_found", f"you have no {named}"
    first, count = known["first_job_id"], known["count"]
    if asked["first_job_id"] != first:
        return "conflict", f"{named} begins with job {first} and not with job {asked['first_job_id']}"
    if asked["count"] != count:
        return "conflict", f"{named} has {count} jobs and not {asked['count']}: all are confirmed together, or none is"
    if known["state"] == "Removed":
        return (
            "conflict",
            f"{named} was not confirmed until {known['expires_at']} and is removed; submit it again, by the same key",
        )
    return "", ""


def handle_all(events: Sequence[Event], db: Db) -> Iterable[Iterable[Event]]:
    return ([*_confirm(event, db)] for event in events)


def _confirm(event: Event, db: Db) -> Iterator[Event]:
    asked, account = event.data, event.authid or ""
    if not (db.one("hold", submission=asked["submission"]) or {})["ours"]:
        raise Later(f"submission {asked['submission']} is being stored or moved just now")
    known = db.one("submission", submission=asked["submission"])
    code, reason = decide(asked, known, account)
    if code or known is None:
        yield event.refuse(code, reason)
        return
    first, count = known["first_job_id"], known["count"]
    stored = {"submission": asked["submission"], "first_job_id": first, "count": count}
    if known["state"] == "Submitting":
        pieces = [
            {"submission": asked["submission"], "first": one, "last": min(one + AT_ONCE, first + count) - 1}
            for one in range(first, first + count, AT_ONCE)
        ]
        if missing := count - sum((db.one("submitting", **piece) or {})["jobs"] for piece in pieces):
            yield event.refuse("conflict", f"{missing} jobs of submission {asked['submission']} are not Submitting any more")
            return
        if count != sum((db.one("receive", at=event.time, **piece) or {})["jobs"] for piece in pieces):
            raise Conflict(f"a job of submission {asked['submission']} was moved meanwhile")
        db.run("confirm", **stored, at=event.time, event_id=event.id)
        whose = {name: known[name] for name in ("owner", "owner_group", "vo")}
        told = stored | whose | {"last_job_id": first + count - 1}
        yield event.answer("bulk.confirmed.v1", asked["submission"], told).of(account, known["vo"])
    expires = {"expires_at": known["expires_at"]} if known["expires_at"] else {}
    yield event.reply(stored | {"state": "Received"} | expires)
