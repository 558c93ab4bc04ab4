"""Kill jobs, and wait until that is so: at once where they wait, by an order to their pilot where they run.

Jobs are named by id, range, group, submission, or by how and whose they are; what is over already is left alone.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.client import Client
from bus.selections import command
from deploy.verbs import _selection as select
from deploy.verbs.common import Failure, Json, client
from deploy.verbs.wait import wait
from schemas.rules.selection import ids


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
    timeout: Annotated[float, typer.Option(help="Seconds to wait for running jobs to end; 0 only asks.")] = 60.0,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Kill jobs."""
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.named(select.selection(jobs, owner=owner, owner_group=owner_group, **named))
    with client("kill") as bus:
        told = command(bus, "job.kill.v1", asked)
        if told["pending"] and timeout:
            try:
                told = ended(bus, told, timeout)
            except Failure:
                select.show(told, as_json=json)
                raise
    select.tell(told, "killed", as_json=json)


def ended(bus: Client, told: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The same when the pilots have ended what they were ordered to. Raises Failure when the time is up first."""
    became = {job["job_id"]: job["state"] for job in wait(bus, list(ids(map(tuple, told["pending"]))), timeout_s)}
    killed = sum(state == "Killed" for state in became.values())
    counts = dict(told["counts"])
    counts["killed"] += killed
    counts["refused"] += len(became) - killed
    # more than a reply could name are still on their way
    counts["requested"], counts["acknowledged"] = max(0, counts["requested"] + counts["acknowledged"] - len(became)), 0
    refusals = list(told["refusals"])
    for state in sorted({state for state in became.values() if state != "Killed"}):
        others = [job_id for job_id, other in became.items() if other == state]
        refusals.append({"reason": f"it is {state}", "count": len(others), "first_job_id": min(others)})
    results = [
        result if result["job_id"] not in became else outcome(result["job_id"], became[result["job_id"]])
        for result in told["results"]
    ]
    return {"counts": counts, "refusals": refusals, "results": results, "pending": []}


def outcome(job_id: int, state: str) -> dict[str, Any]:
    """What became of a job whose pilot had the order."""
    if state == "Killed":
        return {"job_id": job_id, "outcome": "killed"}
    return {"job_id": job_id, "outcome": "refused", "reason": f"it is {state}"}
