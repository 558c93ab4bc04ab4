"""Say why a job waits, or with --pilot why a pilot gets none: how many fail each requirement, and the nearest miss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bus.errors import Invalid
from deploy.verbs import security, who_ran
from deploy.verbs.common import Json, client, one_job, print_json, print_table, safe

OF_JOB = ("Requirement", "The job wants", "Pilots that fail it", "Best seen")
OF_PILOT = ("Requirement", "The pilot has", "Task queues that fail it")


def run(
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="A job id.", show_default=False)] = "",
    pilot: Annotated[str, typer.Option(metavar="PILOT", help="Why this pilot gets no job; for operators.")] = "",
    at: Annotated[str, typer.Option(metavar="TIME", help="How it was at 2026-11-21T12:00:00Z, or 30m, 12h, 7d ago.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Say why a job waits, or a pilot gets none."""
    if bool(job) == bool(pilot):
        raise Invalid("name a job, or a pilot with --pilot, and not both")
    asked: dict[str, Any] = {"at": moment(at)} if at else {}
    if pilot:
        asked["pilot_id"] = pilot
    else:
        asked["job_id"] = one_job(job)
    with client("why") as bus:
        told = bus.ask("match.why.v1", asked)
    if json:
        print_json(told)
        return
    for sentence in (told["headline"], *told["also"]):
        typer.echo(safe(sentence))
    if told.get("requirements"):
        typer.echo("")
        print_table(OF_JOB if "job" in told else OF_PILOT, rows(told))
    if "nearest" in told:
        typer.echo("")
        for line in nearest(told["nearest"]):
            typer.echo(safe(line))


def moment(text: str) -> str:
    """The moment as RFC 3339, also of 30m, 12h or 7d ago. Raises Invalid."""
    return security.moment(text) if re.fullmatch(r"[0-9]{1,5}[mhd]", text) else who_ran.moment(text)


def rows(told: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """A row a requirement that somebody fails."""
    for each in told["requirements"]:
        if "job" in told:
            yield each["field"], each["wants"], f"{each['pilots']} of {told['pilots']}", each["best"]
        else:
            yield each["field"], each["has"], f"{each['queues']} of {told['empty']['queues']}"


def nearest(miss: dict[str, Any]) -> Iterator[str]:
    """What missed by least, and by what."""
    if "resource" in miss:
        yield f"The nearest miss, {miss['pilots']} of the pilots: {miss['resource']}"
    else:
        jobs = f", with {miss['waiting']} waiting" if "waiting" in miss else ""
        yield f"The nearest miss, task queue {miss['queue_id']}{jobs}:"
    for reason in miss["reasons"]:
        yield f"  {reason}"
