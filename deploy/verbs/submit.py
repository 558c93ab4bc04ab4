"""Submit the job or the parameter sweep that FILE describes (JDL, YAML or JSON; - reads JDL from standard input).

Prints the job ids: the same --key always gets the same ids, whatever was lost on the way.
With --dry-run the jobs are made and shown and nothing is sent; FILE may then be JSON lines, too, or with --table a
template with a %(column)s wherever the rows differ.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.account import client_settings
from bus.client import Client
from bus.errors import Invalid
from bus.sandbox import pack
from bus.transfer import upload
from deploy.verbs._descriptions import JSON_LINES, describe, folder_of, jobs_in, shared_files
from deploy.verbs._dry_run import show
from deploy.verbs.common import Json, client, print_json, talk
from schemas.rules.description import normalise


def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A job description; - is standard input.")],
    key: Annotated[str, typer.Option(help="The submission's own uuid; made up when not given.")] = "",
    owner_group: Annotated[str, typer.Option(help="In which of your groups; the default one when not given.")] = "",
    table: Annotated[str, typer.Option(metavar="CSV", help="Rows that fill FILE, a template; - is standard input.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the jobs.")] = False,  # noqa: FBT002
    everything: Annotated[bool, typer.Option("--all", help="With --dry-run: all jobs, not the first few.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Submit what FILE describes."""
    submission = _key(key)
    _refuse_senseless(file, table, dry_run=dry_run, everything=everything)
    if dry_run:
        show(jobs_in(file, table), everything=everything, as_json=json)
        return
    description = describe(file)
    local = shared_files(file, description)
    with client("submit") as bus:
        description = with_sandbox(bus, description, local, folder_of(file))
        asked = {"submission": submission, "description": description} | ({"owner_group": owner_group} if owner_group else {})
        found = bus.ask("job.submit.v1", asked, within_s=60)
    first, count = found["first_job_id"], found["count"]
    if json:
        print_json({"submission": submission, "first_job_id": first, "count": count})
    else:
        talk.print(f"submitted {count} job{'s' * (count > 1)} under key {submission}")
        sys.stdout.write(f"{first}-{first + count - 1}\n" if count > 1 else f"{first}\n")


def _key(text: str) -> str:
    try:
        return str(uuid.UUID(text)) if text else str(uuid.uuid4())
    except ValueError as problem:
        raise Invalid(f"--key {text} is no uuid") from problem


def _refuse_senseless(file: str, table: str, *, dry_run: bool, everything: bool) -> None:
    if everything and not dry_run:
        raise Invalid("--all goes with --dry-run")
    if file.endswith(".csv"):
        raise Invalid(f"{file}: a table fills a template: pilotbus submit TEMPLATE --table {file}")
    if table and file.endswith(JSON_LINES):
        raise Invalid(f"{file}: JSON lines are jobs and no template for --table")
    if file == table == "-":
        raise Invalid("template and table can not both be standard input")
    if (table or file.endswith(JSON_LINES)) and not dry_run:
        raise Invalid(f"{table or file}: JSON lines and tables can be shown with --dry-run, and not be submitted yet")


def with_sandbox(bus: Client, raw: dict[str, Any], local: list[str], base: Path) -> dict[str, Any]:
    """The description with its local input files in the sandbox store, named by digest."""
    if not local:
        return raw
    with tempfile.TemporaryDirectory() as folder:
        packed = pack([base / entry for entry in local], Path(folder) / "input.tar.gz")
        about = {"digest": packed.digest, "size_bytes": packed.size_bytes}
        grant = bus.ask("sandbox.grant.v1", {"operation": "put", **about})
        upload(grant["url"], grant["headers"], packed.path, ca_file=client_settings().ca_file)
    kept = [entry for entry in normalise(raw)["InputSandbox"] if entry not in local]
    named = {name: value for name, value in raw.items() if name.lower() != "inputsandbox"}
    return named | {"InputSandbox": [f"SB:{packed.digest}", *kept]}
