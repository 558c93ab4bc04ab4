"""Kill jobs, and wait until that is so: at once where they wait, by an order to their pilot where they run."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.verbs.common import PARTIAL, Failure, Ids, Json, client, job_ids, print_json, print_table
from deploy.verbs.wait import wait


def run(
    jobs: Ids,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for running jobs to end; 0 only asks.")] = 60.0,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Kill jobs."""
    ids = job_ids(jobs)
    results: list[dict[str, Any]] = []
    with client("kill") as bus:
        for start in range(0, len(ids), 100):
            results += bus.ask("job.kill.v1", {"job_ids": ids[start : start + 100]})["results"]
        requested = [result["job_id"] for result in results if result["outcome"] == "requested"]
        if requested and timeout:
            ended = {job["job_id"]: job for job in wait(bus, requested, timeout)}
            for result in results:
                if result["job_id"] in ended:
                    state = ended[result["job_id"]]["state"]
                    over = {"outcome": "killed"} if state == "Killed" else {"outcome": "refused", "reason": f"it is {state}"}
                    result.update(over)
    refused = [result for result in results if result["outcome"] == "refused"]
    if json:
        print_json(results)
    else:
        print_table(("JobID", "Outcome", "Reason"), ((r["job_id"], r["outcome"], r.get("reason", "")) for r in results))
    if refused:
        raise Failure(f"{len(refused)} of {len(ids)} jobs were not killed: {refused[0]['reason']}", PARTIAL)
