"""Wait until jobs are over: exit code 0 when all are Done, 1 when one is not, 5 when the time is up. Events tell it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bus.client import Client
from deploy.verbs.common import (
    FINAL,
    JOBS_FAILED,
    UNAVAILABLE,
    Failure,
    Ids,
    Json,
    client,
    job_ids,
    jobs_of,
    print_json,
    progress,
    talk,
)

FEW = 20
LOOK_AGAIN_S = 10.0  # of others' jobs, which one may see, no event comes here


def run(
    jobs: Ids,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 86400.0,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Wait until jobs are over."""
    ids = job_ids(jobs)
    with client("wait") as bus:
        found = wait(bus, ids, timeout)
    counts = Counter(job["state"] for job in found)
    if json:
        print_json({"jobs": found, "counts": counts})
    else:
        talk.print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    if set(counts) != {"Done"}:
        bad = next(job for job in found if job["state"] != "Done")
        said = bad["application_status"] or bad["minor_status"]
        raise Failure(f"job {bad['job_id']} is {bad['state']}: {said}", JOBS_FAILED)


def wait(bus: Client, ids: Sequence[int], timeout_s: float) -> list[dict[str, Any]]:
    """The jobs as they are when the last is over. Raises Failure when the time is up first."""
    # follow before the first look: what ends between the two is seen by one of them
    bus.follow_own(*(f"job.*.v1.{job_id}" for job_id in ids) if len(ids) <= FEW else ("job.#",), "bulk.#")
    wanted = set(ids)
    until, look_s = time.monotonic() + timeout_s, 0.0
    with progress() as bar:
        task = bar.add_task("jobs over", total=len(wanted))
        left = set(wanted)
        while left:
            if time.monotonic() >= look_s:
                left -= {job["job_id"] for job in jobs_of(bus, sorted(left)) if job["state"] in FINAL}
                look_s = time.monotonic() + LOOK_AGAIN_S
            elif time.monotonic() > until:
                raise Failure(f"{len(left)} of {len(wanted)} jobs are not over after {timeout_s:.0f} s", UNAVAILABLE)
            else:
                for event in bus.events(within_s=min(1.0, max(0.01, until - time.monotonic()))):
                    if event.type.startswith("bulk."):
                        look_s = 0.0  # it names ranges: which of these are ours is looked up
                    elif event.type.split(".")[1].capitalize() in FINAL and event.subject.isdecimal():
                        left.discard(int(event.subject))
            bar.update(task, completed=len(wanted) - len(left))
    return jobs_of(bus, ids)
