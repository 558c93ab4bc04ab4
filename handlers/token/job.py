"""Give the pilot that has an attempt a token for its payload, which says whose job it is and lets in nowhere at the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from bus import Db, Event
from schemas.rules.identity import pilot_of

CONSUMES = ("token.job.v1",)
EMITS = ()

ON_PILOT = ("Matched", "Running", "Completing")


class Hands(Protocol):
    """The issuer."""

    def job(self, pilot_id: str, job_id: int, attempt: int, owner: str, group: str, vo: str) -> Any:
        """A payload's token."""
        ...


def decide(job: Mapping[str, Any] | None, attempt: int, pilot_id: str | None) -> str:
    """The reason why this pilot gets no token of this attempt, or nothing."""
    if job is None or job["pilot_id"] != pilot_id or job["attempt"] != attempt or job["state"] not in ON_PILOT:
        return "this attempt is not, or no more, on this pilot"
    return ""


def handle(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked = event.data
    job = db.one("job", job_id=asked["job_id"])
    reason = decide(job, asked["attempt"], pilot_of(event.authid or ""))
    if job is None or reason:
        return [event.refuse("denied", reason)]
    token = hands.job(job["pilot_id"], job["job_id"], job["attempt"], job["owner"], job["owner_group"], job["vo"])
    return [event.reply({"token": token.text, "expires_at": token.expires_at, "valid_s": token.valid_s})]
