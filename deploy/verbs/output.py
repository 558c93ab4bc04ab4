"""Fetch the output sandboxes of jobs, each into a folder named by its job id.

What was fetched before is not fetched again, and what broke off is gone on with: after a failure, repeat the command.
"""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from bus.jobs import all_of
from bus.outputs import SIDE_BY_SIDE, Output, fetch
from deploy.verbs.common import (
    CODES,
    PARTIAL,
    Failure,
    Ids,
    Json,
    client,
    job_ids,
    print_json,
    progress,
    talk,
)


def run(
    jobs: Ids,
    directory: Annotated[Path, typer.Option("--dir", help="Where the folders go.")] = Path(),
    side_by_side: Annotated[int, typer.Option("--parallel", min=1, max=64, help="How many at a time.")] = SIDE_BY_SIDE,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Fetch the output sandboxes of jobs."""
    ids = job_ids(jobs)
    fetched: dict[int, list[str]] = {}
    refused: dict[int, str] = {}
    came, code = 0, 0
    with client("output") as bus, progress() as bar:
        deque(all_of(bus, ids), maxlen=0)  # an id that is nobody's is told before anything is fetched
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
