"""Show how jobs are: those named, or the newest hundred of yours, of OWNER, of a group. One job alone has its history."""

from __future__ import annotations

from typing import Any

from bus.selections import every_job
from deploy.verbs import _selection as select
from deploy.verbs.common import Json, client, jobs_of, print_json, print_table, talk

COLUMNS = ("JobID", "State", "MinorStatus", "ApplicationStatus", "Site", "Attempt", "JobName", "JobGroup", "Isolation")


def run(
    jobs: select.Words = None,
    group: select.Group = "",
    submission: select.Submission = "",
    state: select.States = None,
    owner: select.Owner = "",
    owner_group: select.OwnerGroup = "",
    site: select.Site = "",
    since: select.Since = "",
    until: select.Until = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show how jobs are."""
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.selection(jobs, owner=owner, owner_group=owner_group, **named)
    alone = len(asked.get("job_ids", ())) == 1
    with client("status") as bus:
        if not jobs:
            found = bus.ask("job.query.v1", {"newest": True, **asked})["jobs"][::-1]
        elif "job_ids" in asked:
            ids = asked.pop("job_ids")
            found = jobs_of(bus, ids, history=alone, **asked)
        else:
            found = list(every_job(bus, asked))
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
