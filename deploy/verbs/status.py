"""Show how jobs are: those named, or the newest hundred of yours, of OWNER or of a group. One job alone has its history."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.verbs.common import Json, client, job_ids, jobs_of, print_json, print_table, talk

COLUMNS = ("JobID", "State", "MinorStatus", "ApplicationStatus", "Site", "Attempt", "JobName", "JobGroup", "Isolation")


def run(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="17, 17-40, or - for standard input.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Only jobs in this state; may be repeated.")] = None,
    owner: Annotated[str, typer.Option(help="Jobs of this account, as far as you may see them.")] = "",
    owner_group: Annotated[str, typer.Option(help="Jobs of this group, as far as you may see them.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show how jobs are."""
    ids = job_ids(jobs) if jobs else None
    named = {"states": state, "owner": owner, "owner_group": owner_group}
    asked: dict[str, Any] = {name: value for name, value in named.items() if value}
    alone = ids is not None and len(ids) == 1
    with client("status") as bus:
        if ids is None:
            found = bus.ask("job.query.v1", {"newest": True, **asked})["jobs"][::-1]
        else:
            found = jobs_of(bus, ids, history=alone, **asked)
    if json:
        print_json(found)
        return
    print_table(COLUMNS, (row(job) for job in found))
    if not found:
        talk.print("no jobs")
    if alone and found:
        print_table(("At", "State", "MinorStatus", "ApplicationStatus", "Attempt", "Source"), map(step, found[0]["history"]))


def row(job: dict[str, Any]) -> tuple[object, ...]:
    """A job as its row."""
    names = ("job_id", "state", "minor_status", "application_status", "site", "attempt", "job_name", "job_group", "isolation")
    return tuple(job.get(name, "") for name in names)


def step(past: dict[str, Any]) -> tuple[object, ...]:
    """A step of a job's history as its row."""
    return tuple(past[name] for name in ("at", "state", "minor_status", "application_status", "attempt", "source"))
