"""Wait until jobs are over: exit code 0 when all are Done, 1 when one is not, 5 when the time is up. Events tell it.

They are named by id or range, or are those of a group or a submission. A lost bus is waited for, five minutes long.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer

from bus.client import Client
from bus.jobs import Job, all_of
from bus.jobs import wait as over
from deploy.verbs import _selection as select
from deploy.verbs.common import JOBS_FAILED, UNAVAILABLE, Failure, Json, client, print_rows, progress, talk


def run(
    jobs: select.Words = None,
    group: select.Group = "",
    submission: select.Submission = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 86400.0,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Wait until jobs are over."""
    asked = select.named(select.selection(jobs, group=group, submission=submission))
    counts: Counter[str] = Counter()
    bad: list[Job] = []
    with client("wait") as bus:
        ids = select.ids_meant(bus, asked)
        until_over(bus, ids, timeout)
        found = _counted(all_of(bus, ids), counts, bad)
        if json:
            print_rows("jobs", found, lambda: {"counts": counts})
        else:
            deque(found, maxlen=0)
            talk.print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    if bad:
        said = bad[0]["application_status"] or bad[0]["minor_status"]
        raise Failure(f"job {bad[0]['job_id']} is {bad[0]['state']}: {said}", JOBS_FAILED)


def _counted(jobs: Iterable[Job], counts: Counter[str], bad: list[Job]) -> Iterator[Job]:
    """The same, counted, with the first that is not Done; a million need not be held."""
    for job in jobs:
        counts[job["state"]] += 1
        if job["state"] != "Done" and not bad:
            bad.append(job)
        yield job


def wait(bus: Client, ids: Sequence[int], timeout_s: float) -> list[Job]:
    """The jobs as they are when the last is over. Raises Failure when the time is up first."""
    until_over(bus, ids, timeout_s)
    return list(all_of(bus, ids))


def until_over(bus: Client, ids: Sequence[int], timeout_s: float) -> None:
    """The last of the jobs is over. Raises Failure when the time is up first."""
    with progress() as bar:
        task = bar.add_task("jobs over", total=len(ids))
        try:
            over(bus, ids, timeout_s, lambda left: bar.update(task, completed=len(ids) - left))
        except TimeoutError as problem:
            raise Failure(str(problem), UNAVAILABLE) from problem
