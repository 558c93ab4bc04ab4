"""Answer an idle pilot with a job that fits it, now or when there is one; its request parks until then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event
from schemas.rules.matching import MOST_PROCESSORS, WHOLE_NODE, fits

CONSUMES = ("match.request.v1",)
WAKES = ("job.waiting.v1",)
EMITS = ("job.matched.v1",)
EMPTY = {"job": None}

START_WITHIN_S = 120
OTHERS_WORD = ("Owner", "OwnerGroup")  # whose jobs a pilot takes is not the pilot's to say


def decide(resource: Mapping[str, Any], queues: Sequence[Mapping[str, Any]]) -> list[int]:
    """The task queues whose jobs fit the resource: highest priority first, then the largest, then the longest waiting."""
    eligible = [queue for queue in queues if fits(dict(resource), queue["requirements"])]
    ranked = sorted(eligible, key=lambda q: (-q["priority"], -_size(q["requirements"]), q["job_id"]))
    return [queue["queue_id"] for queue in ranked]


def _size(needs: Mapping[str, Any]) -> int:
    return MOST_PROCESSORS + 1 if needs["WholeNode"] else int(needs["MinNumberOfProcessors"])


def offered(resource: Mapping[str, Any], pilot: Mapping[str, Any], vos: Sequence[str]) -> dict[str, Any]:
    """The resource as the house knows it: measured by the node, but placed, owned and tagged as its pilot was enrolled."""
    placed = {"Site": pilot["site"], "VirtualOrganization": [pilot["vo"]] if pilot["vo"] else list(vos)}
    if pilot["ce"]:
        placed["GridCE"] = pilot["ce"]
    tags = [*_several(resource.get("Tag")), *(pilot["tags"] or ())]
    # a pilot that runs something says that its node is not whole just now, whatever it was enrolled with
    not_now = {WHOLE_NODE} if resource.get(WHOLE_NODE) is False else set()
    if pilot["tags"] or not_now:
        placed["Tag"] = [tag for tag in tags if tag not in not_now]
    return {name: value for name, value in resource.items() if name not in OTHERS_WORD} | placed


def demanding(queue: dict[str, Any], least: Mapping[str, str]) -> dict[str, Any]:
    """The queue with what its jobs' community demands today: a policy is no part of a job."""
    needs = queue["requirements"]
    return queue | {"requirements": needs | {"LeastIsolation": least.get(needs["VO"], "none")}}


def answer(requests: Sequence[Event], wakes: Sequence[Event], db: Db) -> Iterable[Event]:
    woken = sorted({wake.data["queue_id"] for wake in wakes}) or None
    queues = db.all("queues", queue_ids=woken)
    pilots = {row["account"]: row for row in db.all("pilots", accounts=[request.authid for request in requests])}
    least = {row["vo"]: row["least_isolation"] for row in db.all("vos")}
    queues = [demanding(queue, least) for queue in queues]
    for request in requests:
        pilot = pilots[request.authid or ""]
        if pilot["banned"]:
            yield request.refuse("denied", pilot["banned"])
            continue
        claim = None if wakes else db.one("claimed", **_who(request))
        if claim is None and queues:
            claim = _claim(request, offered(request.data["resource"], pilot, list(least)), queues, db)
            if claim is not None and claim["job_id"] is None:
                yield request.reply(EMPTY)
                continue
            if claim is not None:
                told = {"pilot_id": request.data["pilot_id"], "site": pilot["site"]}
                matched = request.answer("job.matched.v1", claim["job_id"], told | _about(claim))
                yield matched.of(claim["owner"], claim["vo"])
        if claim is not None:
            named = {name: claim[name] for name in ("owner", "vo", "description")}
            named["least_isolation"] = least.get(claim["vo"], "none")
            yield request.reply({"job": _about(claim) | named | _input(claim["description"])})


def _claim(request: Event, resource: dict[str, Any], queues: list[dict[str, Any]], db: Db) -> dict[str, Any] | None:
    """The job that is this request's from now on, without a job_id when the request was withdrawn; None when there is none."""
    for queue_id in decide(resource, queues):
        values = {"event_id": request.id, "site": resource["Site"], "within_s": START_WITHIN_S}
        if claim := db.one("claim", queue_id=queue_id, **_who(request), **values):
            return claim
        queues[:] = [queue for queue in queues if queue["queue_id"] != queue_id]
    return None


def _several(said: Any) -> list[str]:
    return said if isinstance(said, list) else [said] if said else []


def _who(request: Event) -> dict[str, Any]:
    return {"pilot_id": request.data["pilot_id"], "request_id": request.data["request_id"]}


def _about(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {"job_id": claim["job_id"], "attempt": claim["attempt"]}


def _input(description: Mapping[str, Any]) -> dict[str, Any]:
    stored = [str(entry)[3:] for entry in description.get("InputSandbox", []) if str(entry).startswith("SB:")]
    return {"input": {"digest": stored[0]}} if stored else {}
