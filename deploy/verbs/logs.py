"""Print what a job has written, or what a pilot says of itself; with -f, go on until it is over. Missing lines are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import typer

from bus import Event
from bus.client import Client
from bus.errors import Invalid
from deploy.verbs._lines import Lines
from deploy.verbs.common import FINAL, Json, client, jobs_of, one_job
from deploy.verbs.pilots import phases_of

STREAMS = ("std.out", "std.err", "pilot")
QUIET_S = 1.0


def run(
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="A job id.", show_default=False)] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job, or the pilot, is over.")] = False,  # noqa: FBT002
    stream: Annotated[str, typer.Option(help="Only std.out, std.err or pilot.")] = "",
    attempt: Annotated[int, typer.Option(help="Only this attempt of the job.", min=0, show_default=False)] = 0,
    pilot: Annotated[str, typer.Option(metavar="PILOT", help="What this pilot says of itself; for operators.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Print what a job has written."""
    if stream and stream not in STREAMS:
        raise Invalid(f"{stream} is no stream; there are {', '.join(STREAMS)}")
    if bool(job) == bool(pilot):
        raise Invalid("name a job, or a pilot with --pilot, and not both")
    job_id = 0 if pilot else one_job(job)
    with client("logs") as bus:
        if pilot:
            of_pilot(bus, pilot, follow=follow, as_json=json)
        else:
            of_job(bus, job_id, stream, attempt, follow=follow, as_json=json)


def of_job(bus: Client, job_id: int, stream: str, attempt: int, *, follow: bool, as_json: bool) -> None:
    """The lines of a job are printed, with `follow` until it is over."""
    only = {name: value for name, value in (("stream", stream), ("attempt", attempt)) if value}
    lines = Lines(bus, {"job_id": job_id, **only}, as_json=as_json)
    if follow:
        bus.follow_own(f"log.stored.v1.{job_id}", f"job.*.v1.{job_id}")
    over = jobs_of(bus, [job_id])[0]["state"] in FINAL
    lines.catch_up(final=over or not follow)
    if follow and not over:
        tail(bus, lines, lambda event: event.type.split(".")[1].capitalize() in FINAL)


def of_pilot(bus: Client, pilot_id: str, *, follow: bool, as_json: bool) -> None:
    """The pilot's own words are printed, with `follow` until it leaves."""
    lines = Lines(bus, {"pilot_id": pilot_id}, as_json=as_json)
    over = False
    if follow:
        bus.follow(f"log.stored.v1.pilot-{pilot_id}", f"pilot.reported.v1.{pilot_id}")
        over = any(phase["phase"] == "leaving" for phase in phases_of(bus, pilot_id))
    lines.catch_up(final=over or not follow)
    if follow and not over:
        tail(bus, lines, lambda event: event.data.get("phase") == "leaving")


def tail(bus: Client, lines: Lines, ends: Callable[[Event], bool]) -> None:
    """Lines are printed as they come, until an event ends it and no line has come for a moment.

    Lines travel another way than events: the last of them may come after the event that says that it is over.
    """
    over, came_at = False, time.monotonic()
    while not over or time.monotonic() < came_at + QUIET_S:
        for event in bus.events(QUIET_S / 2):
            if event.type == "log.stored.v1":
                lines.take(event.data)
                came_at = time.monotonic()
            elif ends(event):
                over, came_at = True, time.monotonic()
        lines.go_on()
    lines.catch_up(final=True)
