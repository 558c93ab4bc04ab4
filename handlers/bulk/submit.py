"""Store all jobs of a submission, or none, as Submitting until they are confirmed; the same key always gets the same ids."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from bus import Db, Event
from bus.errors import Conflict, Later
from handlers.bulk.forms import Plan, Rows, plan
from handlers.bulk.stored import Hands, text_of
from schemas.rules.attributes import DescriptionError
from schemas.rules.inputs import unknown
from schemas.rules.submission import Denied, Judge, Owner, owner_of

CONSUMES = ("bulk.submit.v1",)
EMITS = ("bulk.submitted.v1",)
ALONE = True  # the time to confirm the first must not be over when the last is stored

EXPIRES_S = 300  # how long nobody need confirm
AT_ONCE = 50_000  # rows that one statement makes: well within the statement timeout
SHAPES_AT_ONCE = 2_000


def digest_of(asked: Mapping[str, Any]) -> str:
    """What makes a submission another one under the same key: what is submitted, and the group if it names one."""
    said = {name: asked[name] for name in ("description", "dataref", "owner_group") if name in asked}
    return sha256(json.dumps({"bulk": said}, sort_keys=True).encode()).hexdigest()


def decide(event: Event, known: Mapping[str, Any] | None, account: str, digest: str) -> Event | None:
    """The answer to a key that was used before: the same ids for the same words of the same owner. None: store its jobs."""
    if known is None:
        return None
    if known["owner"] != account or known["digest"] != digest:
        return event.refuse("conflict", f"submission {event.data['submission']} was used for something else; choose another key")
    return None if known["state"] == "Removed" else event.reply(shown(event, known))


def shown(event: Event, known: Mapping[str, Any]) -> dict[str, Any]:
    """A submission as its replies show it."""
    told = {name: known[name] for name in ("first_job_id", "count", "state", "expires_at") if known[name] is not None}
    return {"submission": event.data["submission"]} | told


def handle_all(events: Sequence[Event], db: Db, hands: Hands | None) -> Iterable[Iterable[Event]]:
    """`hands` are the store of sandboxes."""
    return ([*_submit(event, db, hands)] for event in events)


def _submit(event: Event, db: Db, hands: Hands | None) -> Iterator[Event]:
    asked, account, digest = event.data, event.authid or "", digest_of(event.data)
    if not (db.one("hold", submission=asked["submission"]) or {})["ours"]:
        raise Later(f"submission {asked['submission']} is being stored or moved just now")
    known = db.one("submission", submission=asked["submission"])
    if answer := decide(event, known, account, digest):
        yield answer
        return
    dataref = asked.get("dataref")
    if dataref and (hands is None or hands.size_of(dataref["digest"]) is None):
        yield event.refuse("not_found", unknown(dataref["digest"]))
        return
    with contextlib.ExitStack() as held:
        rows = Rows(held.enter_context(tempfile.TemporaryFile()))
        try:
            owner = owner_of(account, db.all("standing", account=account), asked.get("owner_group"))
            judge = Judge(owner, db.all("sites"))
            text = held.enter_context(text_of(hands, dataref)) if dataref and hands is not None else None
            planned = plan(asked, text, judge, rows)
        except (Denied, DescriptionError) as problem:
            yield event.refuse("denied" if isinstance(problem, Denied) else "invalid", str(problem))
            return
        needed = json.dumps(sorted(rows.inputs))
        if missing := db.one("missing", digests=needed):
            yield event.refuse("not_found", unknown(missing["digest"]))
            return
        # whatever was removed comes back under the ids that it had
        first = (known or db.one("allot", count=planned.count) or {})["first_job_id"]
        _store(event, db, owner, planned, rows, first)
    db.run("need", submission=asked["submission"], digests=needed)
    _tell_shapes(event, db, judge)
    whose = {"owner": owner.account, "owner_group": owner.group, "vo": owner.vo}
    stored = {"submission": asked["submission"], "first_job_id": first, "count": planned.count}
    expires_s = asked.get("expires_s", EXPIRES_S)
    accepted = db.one("accept", digest=digest, expires_s=expires_s, at=event.time, event_id=event.id, **stored, **whose)
    if accepted is None:
        raise Conflict(f"submission {asked['submission']} was used meanwhile")
    told = stored | whose | {"last_job_id": first + planned.count - 1, "expires_at": accepted["expires_at"]}
    yield event.answer("bulk.submitted.v1", asked["submission"], told).of(owner.account, owner.vo)
    yield event.reply(shown(event, stored | accepted))


def _store(event: Event, db: Db, owner: Owner, planned: Plan, rows: Rows, first: int) -> None:
    """The jobs are in their table, and their one step in history; DIRAC's minor status says what they wait for."""
    values = {"submission": event.data["submission"], "first_job_id": first, "at": event.time}
    whose = {"owner": owner.account, "owner_group": owner.group, "vo": owner.vo}
    template = None
    if planned.body is not None:
        body = json.dumps(planned.body)
        template = (db.one("template", submission=values["submission"], body=body) or {})["template_id"]
    if planned.alike is None:
        for piece in rows.pieces():
            db.run("store", rows=piece, template_id=template, **values, **whose)
    else:
        for place in range(0, planned.count, AT_ONCE):
            last = min(place + AT_ONCE, planned.count) - 1
            db.run("store_alike", place=place, last=last, template_id=template, **planned.alike, **values, **whose)
    db.run("tell", first_job_id=first, count=planned.count, at=event.time, event_id=event.id)


def _tell_shapes(event: Event, db: Db, judge: Judge) -> None:
    """What the jobs need is known by the numbers that they have."""
    for number in range(0, len(judge.shapes), SHAPES_AT_ONCE):
        some = enumerate(judge.shapes[number : number + SHAPES_AT_ONCE], number)
        shapes = ",".join(f'{{"shape":{n},"digest":"{mark}","requirements":{needs}}}' for n, (mark, needs) in some)
        db.run("shapes", submission=event.data["submission"], shapes=f"[{shapes}]")
