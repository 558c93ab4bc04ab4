"""Say whose jobs ran on a node at a moment: what a site asks when a node of its own has misbehaved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from bus.errors import Invalid
from deploy.verbs.common import NOT_FOUND, PARTIAL, Failure, Json, client, print_json, print_table


def run(
    host: Annotated[str, typer.Argument(metavar="HOST", help="The node's name, or the address from which its pilots came.")],
    time: Annotated[str, typer.Argument(metavar="TIME", help="Such as 2026-11-21T12:00:00Z; without a zone it is UTC.")],
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Say whose jobs ran on a node."""
    with client("who-ran") as bus:
        told = bus.ask("security.who_ran.v1", {"host": host, "at": moment(time)})
    jobs = told["jobs"]
    if json:
        print_json(jobs)
    else:
        names = ("job_id", "attempt", "owner", "vo", "site", "pilot_id", "began", "ended", "state", "isolation")
        rows = ([job.get(name, "") for name in names] for job in jobs)
        print_table(("JobID", "Attempt", "Owner", "VO", "Site", "Pilot", "Began", "Ended", "State", "Isolation"), rows)
    if told.get("more"):
        raise Failure(f"these are not all: more than {len(jobs)} jobs ran there", PARTIAL)
    if not jobs:
        raise Failure(f"nobody's job ran on {host} at {time}", NOT_FOUND)


def moment(text: str) -> str:
    """The moment as RFC 3339. Raises Invalid."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as problem:
        raise Invalid(f"{text!r} is no moment; write 2026-11-21T12:00:00Z") from problem
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")
