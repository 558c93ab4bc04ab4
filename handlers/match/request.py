"""Answer an idle pilot with a job that fits it, now or when there is one; its request parks until then."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from bus import Db, Event, now
from handlers.match.memory import Memory, Pick
from handlers.match.parked import Ask
from schemas.rules.explain import told_pilot
from schemas.rules.inputs import inputs
from schemas.rules.limits import Limits
from schemas.rules.matching import WHOLE_NODE, is_any_word, several

CONSUMES = ("match.request.v1",)
WAKES = ("job.waiting.v1", "bulk.waiting.v1", "pilot.disconnected.v1", "match.released.v1")
EMITS = ("job.matched.v1", "match.shadowed.v1")
MEMORY = Memory

START_WITHIN_S = 120
LONGEST_WAIT_S = 1200  # the broker closes a channel whose delivery waits for 30 minutes
MOST_AT_ONCE = 500
CHUNK = 50
TRIES = 3
JUST_NOW_S = 2.0  # whoever asked so lately is taken to wait for the answer


def offered(resource: Mapping[str, Any], pilot: Mapping[str, Any], vos: Sequence[str]) -> dict[str, Any]:
    """The resource as the house knows it: measured by the node, but placed, owned and tagged as its pilot was enrolled.

    Whose jobs a pilot takes is never the pilot's to say; DIRAC's private pilots take those of the owner of their proxy, and
    here of whom they were enrolled for. A pilot that was enrolled at no CE is at the first that it names: it gets the jobs
    for that one alone, and limits of that one count it. DIRAC's "any" names none.
    """
    placed = {"Site": pilot["site"], "VirtualOrganization": [pilot["vo"]] if pilot["vo"] else list(vos)}
    first = next((ce for ce in several(resource, "GridCE") if not is_any_word([ce])), "")
    bound = {"GridCE": pilot["ce"] or first, "Owner": pilot["owner"], "OwnerGroup": pilot["owner_group"]}
    placed |= {name: value for name, value in bound.items() if value}
    tags = [*several(resource, "Tag"), *(pilot["tags"] or ())]
    # a pilot that runs something says that its node is not whole just now, whatever it was enrolled with
    not_now = {WHOLE_NODE} if resource.get(WHOLE_NODE) is False else set()
    if pilot["tags"] or not_now:
        placed["Tag"] = [tag for tag in tags if tag not in not_now]
    return {name: value for name, value in resource.items() if name not in bound} | placed


def serve(requests: Sequence[Event], wakes: Sequence[Event], db: Db, memory: Memory) -> Iterable[Event]:
    memory.hear(wakes, db)
    asks = yield from _let_in(requests, db, memory)
    picks, refused = memory.standing(db, memory.choose_for_parked(db, MOST_AT_ONCE))
    for ask, reason in refused:
        yield ask.event.refuse("denied", reason)
    without = yield from _give(picks, asks, db, memory)
    settled = _settled(without, db, memory)  # of the others, the claim has said whether they are
    for ask in without:
        if claim := settled.get(ask.event.id):
            yield _given(ask, claim, memory)
        else:
            memory.park(ask)
    yield from _told_nothing(memory.lapsed(), db, memory)  # all at once: two matchers keep what was said in one order
    if offers := memory.offers.due():
        db.run("keep_offers", rows=json.dumps(offers))


def _let_in(requests: Sequence[Event], db: Db, memory: Memory) -> Generator[Event, None, list[Ask]]:
    """The requests whose pilots may have jobs and still wait for the answer; the banned are refused."""
    pilots = memory.pilots(db, [request.authid or "" for request in requests])
    asks = []
    for request in requests:
        pilot = pilots[request.authid or ""]
        if pilot["banned"]:
            yield request.refuse("denied", pilot["banned"])
        elif request.age_s < JUST_NOW_S or memory.is_there(request.id):
            asks.append(_ask(request, offered(request.data["resource"], pilot, list(memory.waiting.least)), memory))
    return asks


def _ask(request: Event, resource: Mapping[str, Any], memory: Memory) -> Ask:
    now_s = time.monotonic()
    due_s = now_s + min(float(request.data["wait_s"]), LONGEST_WAIT_S)
    who = {name: request.data[name] for name in ("pilot_id", "request_id")}
    ask = Ask(request.about(who), request.authid or "", memory.parked.profile(resource), due_s)
    memory.offers.note(ask)
    return ask


def _settled(asks: Sequence[Ask], db: Db, memory: Memory) -> dict[str, dict[str, Any]]:
    """Those that are over already: a lost reply and a retry give the same job, as long as that claim stands, and no other."""
    rows = db.all("settled", asks=json.dumps([ask.who | {"event_id": ask.event.id} for ask in asks])) if asks else []
    return {str(row["event_id"]): row for row in _whole(rows, db, memory)}


def _told_nothing(asks: Sequence[Ask], db: Db, memory: Memory) -> Iterable[Event]:
    """Each hears why there is nothing for it, and it is kept."""
    rows = []
    for ask in asks:
        why = memory.reasons(ask)
        rows.append(
            ask.who
            | {"at": now(), "site": ask.profile.site, "resource": memory.waiting.today(ask.profile).resource, "reasons": why}
        )
        yield ask.event.reply({"job": None, "why": told_pilot(why)})
    if rows:
        db.run("keep_empties", rows=json.dumps(rows))


def _give(picks: Sequence[Pick], asks: Sequence[Ask], db: Db, memory: Memory) -> Generator[Event, None, list[Ask]]:
    """The picks, and jobs that are chosen for these requests, are claimed; gives the requests for which there is none.

    Limits are locked before jobs, then usage: match.release does the same. What was said and offered is kept last.
    """
    concerned = [*(pick.ask for pick in picks), *(asks if memory.waiting.heads.some else ())]
    rows = db.all("limits", sites=sorted({ask.profile.site for ask in concerned})) if concerned else []
    limits = Limits(rows, rows[0]["now_s"] if rows else 0.0)
    won: list[Pick] = []
    without: list[Ask] = []
    for _ in range(TRIES):
        asks = yield from _claim(_chosen(picks, asks, limits, without, db, memory), limits, won, db, memory)
        picks = []
    if changed := limits.changed():
        db.run("write_limits", changed=json.dumps(changed))
    if won:
        db.run("use", changes=json.dumps(_used(won, memory)))
    return [*without, *asks]  # where others were faster, it is asked about again when they have committed


def _chosen(
    parked: Sequence[Pick], asks: Sequence[Ask], limits: Limits, without: list[Ask], db: Db, memory: Memory
) -> Iterator[list[Pick]]:
    """Picks that limits allow, some at a time: what was picked already, and for the requests; or they go without."""
    for first in range(0, len(parked), CHUNK):
        picks, none = memory.within(limits, parked[first : first + CHUNK], db)
        without += none
        yield picks
    for first in range(0, len(asks), CHUNK):
        found = [(ask, memory.choose(ask, db)) for ask in asks[first : first + CHUNK]]
        picks, none = memory.within(limits, [pick for _, pick in found if pick is not None], db)
        without += [*(ask for ask, pick in found if pick is None), *none]
        yield picks


def _claim(
    chosen: Iterable[list[Pick]], limits: Limits, won: list[Pick], db: Db, memory: Memory
) -> Generator[Event, None, list[Ask]]:
    """What could be claimed is given; gives the requests whose job was somebody else's by then."""
    lost: list[Ask] = []
    for pick, claim in _outcomes(chosen, db, memory):
        if claim is not None and claim["outcome"] == "claimed":
            won.append(pick)
            yield _matched(pick, claim)
            yield _given(pick.ask, claim, memory)
            if memory.shadow is not None:
                yield _shadowed(pick, memory.shadow, memory)
            continue
        limits.give_back(pick.ask.profile.site, pick.ask.profile.ce, memory.job(pick))
        if claim is not None:
            # it has a job already, or none any more: the one that was picked stays where it was
            memory.unpick(pick)
            yield _given(pick.ask, claim, memory)
            continue
        memory.lost(pick)
        lost.append(pick.ask)
    return lost


def _outcomes(chosen: Iterable[list[Pick]], db: Db, memory: Memory) -> Iterator[tuple[Pick, dict[str, Any] | None]]:
    """Each pick with what came of its claim; the database works on some while others are chosen, and told."""
    before: list[Pick] = []
    rows: Callable[[], Sequence[dict[str, Any]]] = list
    for picks in chain(chosen, ([],)):
        claims = {row["number"]: row for row in _whole(rows(), db, memory)}
        picks.sort(key=lambda pick: pick.ask.wish)  # the order in which claims lock requests
        rows = db.begin("claim", picks=_rows(picks, memory), within_s=START_WITHIN_S) if picks else list
        yield from ((pick, claims.get(number)) for number, pick in enumerate(before))
        before = picks


def _whole(rows: Sequence[dict[str, Any]], db: Db, memory: Memory) -> Iterable[dict[str, Any]]:
    """The rows, each with its job's description, if it has a job."""
    if unknown := memory.templates.unknown(rows):
        for template in db.all("templates", template_ids=unknown):
            memory.templates.know(template["template_id"], template["body"])
    return [row if row["template_id"] is None else row | {"description": memory.templates.description(row)} for row in rows]


def _rows(picks: Sequence[Pick], memory: Memory) -> str:
    return json.dumps([_row(number, pick, memory) for number, pick in enumerate(picks)])


def _row(number: int, pick: Pick, memory: Memory) -> dict[str, Any]:
    placed = {"site": pick.ask.profile.site, "ce": pick.ask.profile.ce, "processors": pick.processors}
    queue = {"queue_id": memory.waiting.index.queue_ids[pick.slot], "job_id": pick.entry[1]}
    return {"number": number, "event_id": pick.ask.event.id} | pick.ask.who | placed | queue


def _used(won: Sequence[Pick], memory: Memory) -> list[dict[str, Any]]:
    used: Counter[tuple[str, str]] = Counter()
    for pick in won:
        needs = memory.waiting.index.needs[pick.slot]
        used[needs["OwnerGroup"], needs["Owner"]] += pick.processors
    return [{"owner_group": group, "owner": owner, "processors": count} for (group, owner), count in used.items()]


def _matched(pick: Pick, claim: Mapping[str, Any]) -> Event:
    told = {"pilot_id": pick.ask.pilot_id, "site": pick.ask.profile.site}
    return pick.ask.event.answer("job.matched.v1", claim["job_id"], told | _about(claim)).of(claim["owner"], claim["vo"])


def _shadowed(pick: Pick, policy: str, memory: Memory) -> Event:
    index = memory.waiting.index
    chosen, shadow = (
        {"owner_group": index.needs[slot]["OwnerGroup"], "owner": index.needs[slot]["Owner"], "queue_id": index.queue_ids[slot]}
        for slot in (pick.slot, pick.shadow)
    )
    told = {"pilot_id": pick.ask.pilot_id, "chosen": chosen, "shadow": shadow, "policy": policy}
    return pick.ask.event.answer("match.shadowed.v1", pick.ask.pilot_id, told)


def _given(ask: Ask, claim: Mapping[str, Any], memory: Memory) -> Event:
    if claim["job_id"] is None:
        return ask.event.reply({"job": None})
    named = {name: claim[name] for name in ("owner", "vo", "description")}
    named["least_isolation"] = memory.waiting.least.get(claim["vo"], "none")
    return ask.event.reply({"job": _about(claim) | named | _input(claim["description"])})


def _about(claim: Mapping[str, Any]) -> dict[str, Any]:
    return {"job_id": claim["job_id"], "attempt": claim["attempt"]}


def _input(description: Mapping[str, Any]) -> dict[str, Any]:
    stored = inputs(description)
    return {"input": {"digest": stored[0]}} if stored else {}
