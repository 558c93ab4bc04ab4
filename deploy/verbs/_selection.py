"""What status, kill, reschedule, delete, output and jobs share: the jobs that are meant, as words and options name them."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Invalid
from bus.selections import every_job, ranged
from deploy.verbs import security, who_ran
from deploy.verbs.common import NOT_FOUND, PARTIAL, Failure, job_ranges, print_json, print_table
from schemas.rules.job_states import STATES
from schemas.rules.selection import ids

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
        asked = ranged(job_ranges(words))
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
