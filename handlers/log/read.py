"""Give lines, a page at a time: a job's to its owner and whoever may see it, a pilot's own to operators and site managers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bus import Db, Event, fitting
from handlers.log.chunks import Line, merged
from schemas.rules.identity import pilot_account
from schemas.rules.rights import READS_PILOTS, may, reads_pilots

CONSUMES = ("log.read.v1", "log.read_pilot.v1")
EMITS = ()

MOST_LINES = 400


def decide(lines: Sequence[Line], limit: int, *, unread: bool) -> tuple[list[Line], bool]:
    """As many lines as a reply can carry, and whether there are more."""
    shown = fitting(lines[:limit])
    return shown, unread or len(lines) > len(shown)


def handle(event: Event, db: Db, hands: Collection[str]) -> Iterable[Event]:
    """`hands` are the accounts that operate without an entry in the registry."""
    asked, account = event.data, event.authid or ""
    memberships = db.all("standing", account=account)
    wanted = {"stream": asked.get("stream"), "attempt": asked.get("attempt")}
    if event.type == "log.read_pilot.v1":
        if not reads_pilots(account, memberships, hands):
            needs = " or ".join(sorted(READS_PILOTS))
            return [event.refuse("denied", f"to read what pilots say of themselves, {account} needs the property {needs}")]
        subject, seen = pilot_account(asked["pilot_id"]), {"0/pilot": asked.get("after", 0)}
    else:
        job = db.one("job", job_id=asked["job_id"])
        if job is None or may("GetInfo", account, memberships, job):
            return [event.refuse("not_found", f"you have no job {asked['job_id']}")]
        subject, seen = str(asked["job_id"]), asked.get("after", {})
    limit = min(asked.get("limit", MOST_LINES), MOST_LINES)
    rows = db.all("chunks", subject=subject, streams=list(seen), numbers=list(seen.values()), limit=limit, **wanted)
    found, unread = merged(rows)
    lines, more = decide(found, limit, unread=unread or any(row["others"] for row in rows))
    return [event.reply({"lines": lines, "more": more})]
