"""Fetch the output sandboxes of jobs, each into a folder named by its job id; of a group, those that there are.

What was fetched before is not fetched again, and what broke off is gone on with: after a failure, repeat the command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bus.outputs import SIDE_BY_SIDE, Output, fetch
from bus.selections import every_job
from deploy.verbs import _selection as select
from deploy.verbs.common import (
    CODES,
    NOT_FOUND,
    PARTIAL,
    Failure,
    Json,
    client,
    print_json,
    progress,
    talk,
)


def run(
    jobs: select.Words = None,
    directory: Annotated[Path, typer.Option("--dir", help="Where the folders go.")] = Path(),
    group: select.Group = "",
    submission: select.Submission = "",
    state: select.States = None,
    owner: select.Owner = "",
    owner_group: select.OwnerGroup = "",
    site: select.Site = "",
    since: select.Since = "",
    until: select.Until = "",
    side_by_side: Annotated[int, typer.Option("--parallel", min=1, max=64, help="How many at a time.")] = SIDE_BY_SIDE,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Fetch the output sandboxes of jobs."""
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.named(select.selection(jobs, owner=owner, owner_group=owner_group, **named))
    fetched: dict[int, list[str]] = {}
    refused: dict[int, str] = {}
    came, code = 0, 0
    with client("output") as bus, progress() as bar:
        found = [(job["job_id"], "output" in job) for job in every_job(bus, asked)]
        ids = [job_id for job_id, has_output in found if jobs or has_output]
        for output in bar.track(fetch(bus, ids, directory, side_by_side), total=len(ids), description="outputs"):
            came += not output.code
            code = code or CODES.get(output.code, PARTIAL if output.code else 0)
            if json:
                kept = {output.job_id: output.reason} if output.code else {}
                refused.update(kept)
                fetched.update({} if kept else {output.job_id: names(output, directory)})
            else:
                tell(output)
    if json:
        print_json({"fetched": fetched, "refused": refused})
    if not found:
        raise Failure("there are no such jobs", NOT_FOUND)
    if not ids:
        talk.print(f"none of {len(found)} job{'s' * (len(found) > 1)} has an output")
    if code:
        raise Failure(f"{len(ids) - came} of {len(ids)} jobs have no output to fetch", PARTIAL if came else code)


def names(output: Output, directory: Path) -> list[str]:
    """Its files as they are called in the job's folder."""
    return [str(path.relative_to(directory / str(output.job_id))) for path in output.files]


def tell(output: Output) -> None:
    """The files on standard output, or why there are none."""
    sys.stdout.writelines(f"{path}\n" for path in output.files)
    if output.code:
        talk.print(f"pilotbus: {output.reason}", markup=False, soft_wrap=True)
