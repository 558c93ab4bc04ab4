"""Fetch the output sandboxes of jobs, each into a folder named by its job id; of a group, those that there are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bus.client import Client
from bus.errors import Refused
from bus.sandbox import download, unpack
from deploy.verbs import _selection as select
from deploy.verbs.common import (
    CODES,
    PARTIAL,
    Failure,
    Json,
    client,
    client_settings,
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
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Fetch the output sandboxes of jobs."""
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.named(select.selection(jobs, owner=owner, owner_group=owner_group, **named))
    ca_file = client_settings().ca_file
    fetched: dict[int, list[str]] = {}
    refused: dict[int, Refused] = {}
    with client("output") as bus, progress() as bar:
        ids = [job["job_id"] for job in select.every_job(bus, asked) if jobs or "output" in job]
        for job_id in bar.track(ids, description="outputs"):
            try:
                fetched[job_id] = fetch(bus, job_id, directory / str(job_id), ca_file)
            except Refused as reason:
                refused[job_id] = reason
    if json:
        print_json({"fetched": fetched, "refused": {job_id: str(problem) for job_id, problem in refused.items()}})
    else:
        for job_id, names in fetched.items():
            print(*(directory / str(job_id) / name for name in names), sep="\n")  # noqa: T201 - this is the data
        for problem in refused.values():
            talk.print(f"pilotbus: {problem}")
    if refused:
        first = next(iter(refused.values()))
        code = PARTIAL if fetched else CODES.get(first.code, PARTIAL)
        raise Failure(f"{len(refused)} of {len(ids)} jobs have no output to fetch", code)


def fetch(bus: Client, job_id: int, directory: Path, ca_file: str) -> list[str]:
    """The job's output is in the directory; the names of its files."""
    grant = bus.ask("sandbox.grant.v1", {"operation": "get", "job_id": job_id, "which": "output"})
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "output.tar.gz"
        download(grant["url"], archive, grant["digest"], ca_file=ca_file)
        directory.mkdir(parents=True, exist_ok=True)
        return sorted(str(path.relative_to(directory)) for path in unpack(archive, directory))
