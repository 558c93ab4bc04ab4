"""Remove what nobody confirmed in time: every job of the submission, and all that was kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bus import Db, Event
from bus.errors import Later

CONSUMES = ("bulk.expired.v1",)
EMITS = ("bulk.removed.v1",)
ALONE = True  # in one transaction with others, jobs would stay locked for as long as all take

AT_ONCE = 20_000


def decide(known: Mapping[str, Any] | None) -> bool:
    """Whether the submission is to go: it was neither confirmed meanwhile nor stored anew with a later time."""
    return known is not None and known["state"] == "Submitting" and bool(known["over"])


def handle_all(events: Sequence[Event], db: Db) -> Iterable[Iterable[Event]]:
    return ([*_expire(event, db)] for event in events)


def _expire(event: Event, db: Db) -> Iterator[Event]:
    submission = event.data["submission"]
    if not (db.one("hold", submission=submission) or {})["ours"]:
        raise Later(f"submission {submission} is being stored or moved just now")
    known = db.one("submission", submission=submission)
    if known is None or not decide(known):
        return
    first, last = known["first_job_id"], known["first_job_id"] + known["count"] - 1
    # from the end: after each piece it is looked whether any job is left, and the first one is
    for one in reversed(range(first, last + 1, AT_ONCE)):
        db.run("remove", submission=submission, first=one, last=min(one + AT_ONCE - 1, last))
    db.run("forget", submission=submission, first=first, last=last)
    told = {name: known[name] for name in ("first_job_id", "count", "owner", "owner_group", "vo", "expires_at")}
    told |= {"submission": submission, "last_job_id": last}
    yield event.answer("bulk.removed.v1", submission, told).of(known["owner"], known["vo"])
