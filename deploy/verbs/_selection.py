"""What status, kill, reschedule, delete, output and jobs share: the jobs that are meant, as words and options name them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Invalid, Refused
from bus.jobs import absent, all_of
from deploy.verbs import security, who_ran
from deploy.verbs.common import NOT_FOUND, PARTIAL, Failure, job_ranges, print_json, print_table
from schemas.rules.job_states import STATES
from schemas.rules.selection import ids

FEW = 100  # so many ids have a line each
MOST_RANGES = 1_000
ANSWER_WITHIN_S = 120.0  # a million jobs in one command, behind another's

Words = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="17, 17-40, or - for standard input.")]
Group = Annotated[str, typer.Option("--group", metavar="JOBGROUP", help="Jobs of this JobGroup.")]
Submission = Annotated[str, typer.Option(metavar="KEY", help="Jobs that came with this submission.")]
States = Annotated[list[str] | None, typer.Option("--state", help="Only jobs in this state; may be repeated.")]
Owner = Annotated[str, typer.Option(help="Jobs of this account, as far as you may.")]
OwnerGroup = Annotated[str, typer.Option(help="Jobs of this group, as far as you may.")]
Site = Annotated[str, typer.Option(help="Jobs that run, or ran last, at this site.")]
Since = Annotated[str, typer.Option(metavar="TIME", help="Submitted at 2026-11-21T12:00:00Z or later, or within 30m, 12h, 7d.")]
Until = Annotated[str, typer.Option(metavar="TIME", help="Submitted before that.")]


def selection(words: list[str] | None, **named: Any) -> dict[str, Any]:
    """What the words and options name, as requests have it; empty when they name nothing. Raises Invalid."""
    asked: dict[str, Any] = {}
    if words:
        ranges = job_ranges(words)
        few = sum(last - first + 1 for first, last in ranges) <= FEW
        asked = {"job_ids": list(ids(ranges))} if few else {"ranges": [list(one) for one in ranges]}
    for state in named.get("states") or ():
        if state not in STATES:
            raise Invalid(f"{state} is no job state; there are {', '.join(STATES)}")
    moments = {"since": "submitted_after", "until": "submitted_before", "group": "job_group"}
    for name, value in named.items():
        if value:
            asked[moments.get(name, name)] = _moment(value) if name in ("since", "until") else value
    return asked


def named(asked: dict[str, Any]) -> dict[str, Any]:
    """The same, if it names something. Raises Invalid."""
    if not asked:
        raise Invalid("name the jobs: by id, range, --group, --submission, or by how and whose they are")
    return asked


def _moment(text: str) -> str:
    return security.moment(text) if re.fullmatch("[0-9]{1,5}[mhd]", text) else who_ran.moment(text)


def command(bus: Client, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
    """What came of a command for the whole selection, however many requests that takes: counts, refusals, results, pending."""
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


def _parts(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same in requests that are not too large."""
    ranges = asked.get("ranges", [])
    for start in range(0, max(1, len(ranges)), MOST_RANGES):
        yield asked | ({"ranges": ranges[start : start + MOST_RANGES]} if ranges else {})


def every_job(bus: Client, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
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


def ids_meant(bus: Client, asked: dict[str, Any]) -> list[int]:
    """The ids of the jobs that are meant; those that are named need not be looked for. Raises Failure when there are none."""
    if set(asked) <= {"job_ids", "ranges"}:
        return [*asked.get("job_ids", ()), *ids(map(tuple, asked.get("ranges", ())))]
    if found := [job["job_id"] for job in every_job(bus, asked)]:
        return found
    raise Failure("there are no such jobs", NOT_FOUND)


def tell(told: dict[str, Any], done: str, *, as_json: bool) -> None:
    """What came of a command, for people or programs. Raises Failure when some were refused, or there were none."""
    show(told, as_json=as_json)
    total = sum(told["counts"].values())
    if not total:
        raise Failure("there are no such jobs", NOT_FOUND)
    if refused := told["counts"].get("refused", 0):
        reason = told["refusals"][0]["reason"] if told["refusals"] else "see the reasons"
        raise Failure(f"{refused} of {total} jobs were not {done}: {reason}", PARTIAL)


def show(told: dict[str, Any], *, as_json: bool) -> None:
    """What came of a command, for people or programs."""
    shown = {name: told[name] for name in ("counts", "refusals")} | ({"results": told["results"]} if told["results"] else {})
    if as_json:
        print_json(shown)
    elif told["results"]:
        print_table(("JobID", "Outcome", "Reason"), ((r["job_id"], r["outcome"], r.get("reason", "")) for r in told["results"]))
    elif any(told["counts"].values()):
        print_table(("Jobs", "Outcome"), ((count, name) for name, count in told["counts"].items() if count))
        if told["refusals"]:
            reasons = [(each["count"], each["first_job_id"], each["reason"]) for each in told["refusals"]]
            print_table(("Refused", "First", "Reason"), reasons)
