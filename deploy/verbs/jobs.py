"""List jobs: the newest hundred of yours, or those that words and options name; --watch shows them as they change.

--sort and --columns take the names of --json: job_id, state, minor_status, site, job_group, submitted_at, changed_at, …
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Invalid
from deploy.verbs import _selection as select
from deploy.verbs.common import Json, client, data, print_json, print_line, print_table, talk

DEFAULT = ("job_id", "state", "minor_status", "site", "job_group", "job_name", "submitted_at", "changed_at")
COLUMNS = (
    *DEFAULT, "application_status", "attempt", "owner", "owner_group", "vo", "pilot_id", "exit_code", "isolation",
)  # fmt: skip
NOT_OFTENER_S = 1.0
LOOK_AGAIN_S = 10.0  # of others' jobs, which one may see, no event comes here


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
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="The newest so many.")] = 100,
    sort: Annotated[str, typer.Option(metavar="COLUMN", help="By this column; -COLUMN is downwards.")] = "job_id",
    columns: Annotated[str, typer.Option(metavar="COLUMN,…", help="These columns.")] = ",".join(DEFAULT),
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show each change; Ctrl-C ends it.")] = False,  # noqa: FBT002
    timeout: Annotated[float, typer.Option(help="With --watch: seconds after which it ends; never when 0.")] = 0.0,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """List jobs."""
    shown = known(columns.split(","))
    (key,) = known([sort.removeprefix("-")])
    named = {"group": group, "submission": submission, "states": state, "site": site, "since": since, "until": until}
    asked = select.selection(jobs, owner=owner, owner_group=owner_group, **named)
    with client("jobs") as bus:
        if watch:
            follow(bus, asked, limit, key, shown, down=sort.startswith("-"), timeout_s=timeout, as_json=json)
            return
        found = ordered(newest(bus, asked, limit), key, down=sort.startswith("-"))
    if json:
        print_json(found)
        return
    show(found, shown)


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of these names. Raises Invalid, naming one that is none."""
    for name in names:
        if name not in COLUMNS:
            raise Invalid(f"{name!r} is no column; there are {', '.join(COLUMNS)}")
    return tuple(names)


def newest(bus: Client, asked: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """The newest of the jobs that are meant, so many at most."""
    found: list[dict[str, Any]] = []
    more = True
    while more and len(found) < most:
        after = {"after": found[-1]["job_id"]} if found else {}
        page = bus.ask("job.query.v1", asked | after | {"newest": True, "limit": min(100, most - len(found))})
        found += page["jobs"]
        more = bool(page["more"]) and bool(page["jobs"])
    return found


def ordered(found: Sequence[dict[str, Any]], key: str, *, down: bool) -> list[dict[str, Any]]:
    """The same by a column, and those alike by their ids; what lacks it comes first."""
    by_id = sorted(found, key=lambda job: int(job["job_id"]))
    return sorted(by_id, key=lambda job: (key in job, job.get(key)), reverse=down)


def show(found: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """A table for people."""
    print_table(columns, (tuple(job.get(name, "") for name in columns) for job in found))
    if not found:
        talk.print("no jobs")


def follow(
    bus: Client,
    asked: dict[str, Any],
    most: int,
    key: str,
    columns: Sequence[str],
    *,
    down: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """The jobs are shown whenever events say that something has changed: the table anew, or each change as a JSON line."""
    bus.follow_own("job.#", "bulk.#")  # before the first look: what changes between the two is seen by one of them
    before: dict[int, dict[str, Any]] | None = None
    until_s = time.monotonic() + timeout_s if timeout_s else float("inf")
    look_s = 0.0
    while True:
        if time.monotonic() >= look_s:
            found = ordered(newest(bus, asked, most), key, down=down)
            if before != (now := {job["job_id"]: job for job in found}):
                tell(found, before or {}, columns, as_json=as_json)
            before, looked_s = now, time.monotonic()
            look_s = looked_s + LOOK_AGAIN_S
        if time.monotonic() >= until_s:
            return
        if any(bus.events(within_s=max(0.01, min(look_s, until_s) - time.monotonic()))):
            look_s = min(look_s, looked_s + NOT_OFTENER_S)


def tell(found: Sequence[dict[str, Any]], before: dict[int, dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """What has changed is shown."""
    if as_json:
        for job in found:
            if before.get(job["job_id"]) != job:
                print_line(job)
        return
    if data.is_terminal:
        data.clear()
    show(found, columns)
