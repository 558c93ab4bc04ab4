"""Many jobs meant by one selection: found, counted or commanded, in as many requests as that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bus.client import Client
from bus.errors import Refused
from bus.jobs import absent, all_of
from schemas.rules.selection import Range, ids, joined

FEW = 100  # so many ids have an outcome each
MOST_RANGES = 1_000
ANSWER_WITHIN_S = 120.0  # a million jobs in one command, behind another's
GROUP = ("vo", "owner_group", "owner", "job_group")


def ranged(ranges: Sequence[Range]) -> dict[str, Any]:
    """These jobs as requests name them: a few by their ids, which have an outcome each, many by ranges."""
    if sum(last - first + 1 for first, last in ranges) <= FEW:
        return {"job_ids": list(ids(ranges))}
    return {"ranges": [list(one) for one in ranges]}


def of_ids(job_ids: Iterable[int]) -> dict[str, Any]:
    """These jobs as requests name them, or nothing for none."""
    if isinstance(job_ids, range) and job_ids.step == 1 and job_ids:
        return ranged([(job_ids[0], job_ids[-1])])
    ranges = joined((one, one) for one in job_ids)
    return ranged(ranges) if ranges else {}


def command(bus: Client, kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a command for the whole selection: counts by outcome, refusals with reasons, results of a few, pending."""
    counts: Counter[str] = Counter()
    reasons: dict[str, dict[str, Any]] = {}
    results: list[dict[str, Any]] = []
    pending: list[list[int]] = []
    for part in _parts(asked):
        after, more = 0, True
        while more:
            page = bus.ask(kind, part | ({"after": after} if after else {}), within_s=ANSWER_WITHIN_S)
            counts.update(page["counts"])
            for refusal in page["refusals"]:
                known = reasons.setdefault(refusal["reason"], {**refusal, "count": 0})
                known["count"] += refusal["count"]
            results += page.get("results", [])
            pending += page.get("pending", [])
            after, more = page["after"], page["more"]
    return {"counts": dict(counts), "refusals": list(reasons.values()), "results": results, "pending": pending}


def outcomes(ask: Callable[[str, Any], Any], kind: str, job_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What came of a command for each of these jobs."""
    for start in range(0, len(job_ids), FEW):
        yield from ask(kind, {"job_ids": list(job_ids[start : start + FEW])})["results"]


def every_job(bus: Client, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The jobs that are meant, in the order of their ids. Raises Refused at the end when an id is nobody's or another's."""
    if set(asked) == {"job_ids"}:
        yield from all_of(bus, asked["job_ids"])
        return
    there = set[int]()
    for part in _parts(asked):
        after, more = 0, True
        while more:
            page = bus.ask("job.query.v1", part | {"after": after})
            yield from page["jobs"]
            there.update(job["job_id"] for job in page["jobs"])
            more = bool(page["more"]) and bool(page["jobs"])
            after = page["jobs"][-1]["job_id"] if more else 0
    named_ids = ids(map(tuple, asked["ranges"])) if set(asked) == {"ranges"} else ()
    if missing := list(islice((one for one in named_ids if one not in there), 6)):
        raise Refused("not_found", absent(missing))


def groups(bus: Client, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All groups of jobs that are asked for, with how many are in which state."""
    found: list[dict[str, Any]] = []
    while True:
        after = {"after": [found[-1][name] for name in GROUP]} if found else {}
        page = bus.ask("job.groups.v1", {**asked, **after})
        found += page["groups"]
        if not page["more"]:
            return found


def _parts(asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same in requests that are not too large."""
    ranges = asked.get("ranges", [])
    for start in range(0, max(1, len(ranges)), MOST_RANGES):
        yield {**asked, **({"ranges": ranges[start : start + MOST_RANGES]} if ranges else {})}
