"""Answer an idle pilot with a job that fits it, now or when there is one; its request parks until then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.matching import fits

CONSUMES = ("match.request.v1",)
WAKES = ("job.waiting.v1",)
EMITS = ("job.matched.v1",)
EMPTY = {"job": None}

START_WITHIN_S = 120
VO = "local"


def decide(resource: Mapping[str, Any], queues: Sequence[Mapping[str, Any]]) -> list[int]:
    """The task queues whose jobs fit the resource: highest priority first, then the longest waiting."""
    eligible = [queue for queue in queues if fits(dict(resource), queue["requirements"])]
    return [queue["queue_id"] for queue in sorted(eligible, key=lambda q: (-q["priority"], q["job_id"]))]


def answer(requests: Sequence[Event], wakes: Sequence[Event], db: Db) -> Iterable[Event]:
    woken = sorted({wake.data["queue_id"] for wake in wakes}) or None
    queues = db.all("queues", queue_ids=woken)
    for request in requests:
        claim = None if wakes else db.one("claimed", **_who(request))
        if claim is None and queues:
            claim = _claim(request, queues, db)
            if claim is not None:
                told = {"pilot_id": request.data["pilot_id"], "site": request.data["resource"]["Site"]}
                yield request.answer("job.matched.v1", claim["job_id"], told | _about(claim))
        if claim is not None:
            named = {name: claim[name] for name in ("owner", "vo", "description")}
            yield request.reply({"job": _about(claim) | named | _input(claim["description"])})


def _claim(request: Event, queues: list[dict[str, Any]], db: Db) -> dict[str, Any] | None:
    resource = request.data["resource"] | {"VirtualOrganization": VO}  # never the node's own word
    for queue_id in decide(resource, queues):
        site = resource["Site"]
        values = {"event_id": request.id, "site": site, "within_s": START_WITHIN_S}
        if claim := db.one("claim", queue_id=queue_id, **_who(request), **values):
            return claim
        queues[:] = [queue for queue in queues if queue["queue_id"] != queue_id]
    return None


def _who(request: Event) -> dict[str, Any]:
    return {"pilot_id": request.data["pilot_id"], "request_id": request.data["request_id"]}


def _about(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {"job_id": claim["job_id"], "attempt": claim["attempt"]}


def _input(description: Mapping[str, Any]) -> dict[str, Any]:
    stored = [str(entry)[3:] for entry in description.get("InputSandbox", []) if str(entry).startswith("SB:")]
    return {"input": {"digest": stored[0]}} if stored else {}
