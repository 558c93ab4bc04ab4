"""Show everything about a job: how it is, its history, what was ordered of its pilots, attributes, parameters, last lines.

With --fresh a running job's pilot is asked how it is now.
"""

from __future__ import annotations

import json as text
from collections import deque
from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Refused
from deploy.verbs.common import Json, client, jobs_of, one_job, print_json, print_table, safe, talk
from deploy.verbs.status import COLUMNS, row, step

RUNNING = ("Running", "Completing", "Stalled")
LAST_LINES = "last_lines"
FEW, MOST_PAGES = 20, 25
ORDERS = ("At", "Order", "Attempt", "Pilot", "By", "Outcome", "Ended", "Reason")


def run(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job id.")],
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask its pilot, if it runs.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show everything about a job."""
    job_id = one_job(job)
    with client("job") as bus:
        (found,) = jobs_of(bus, [job_id], history=True)
        told = bus.ask("job.show.v1", {"job_id": job_id})
        if fresh and found["state"] in RUNNING:
            try:
                said = bus.ask("job.peek.v1", {"job_id": job_id, "wait_s": 20}, within_s=30)
                told["parameters"] = {name: value for name, value in said.items() if name not in ("fresh", "attempt")}
            except Refused as problem:  # it ended meanwhile
                talk.print(f"pilotbus: {problem}")
        if found["state"] not in RUNNING and (lines := last_lines(bus, job_id, found["attempt"])):
            told["parameters"][LAST_LINES] = lines
    everything = found | {name: value for name, value in told.items() if name != "job_id"}
    if json:
        print_json(everything)
        return
    show(everything)


def last_lines(bus: Client, job_id: int, attempt: int) -> list[str]:
    """The last that it wrote, also after its pilot's last beat; nothing where it wrote more than is worth reading."""
    asked, after = {"job_id": job_id, "attempt": attempt, "stream": "std.out"}, 0
    last = deque[str](maxlen=FEW)
    for _ in range(MOST_PAGES):
        page = bus.ask("log.read.v1", {**asked, "after": {f"{attempt}/std.out": after}})
        last.extend(line["text"] for line in page["lines"])
        if not page["more"]:
            return list(last)
        after = page["lines"][-1]["number"]
    return []


def show(job: dict[str, Any]) -> None:
    """All of it as tables, and the last lines of its output as they are."""
    print_table(COLUMNS, [row(job)])
    typer.echo("")
    print_table(("At", "State", "MinorStatus", "ApplicationStatus", "Attempt", "Source"), map(step, job["history"]))
    if job["orders"]:
        typer.echo("")
        print_table(ORDERS, (ordered(each) for each in job["orders"]))
    for title, named in (("Attribute", job["attributes"]), ("Parameter", job["parameters"])):
        rows = [(name, said(value)) for name, value in sorted(named.items()) if name != LAST_LINES]
        if rows:
            typer.echo("")
            print_table((title, "Value"), rows)
    if lines := job["parameters"].get(LAST_LINES):
        typer.echo("")
        for line in lines:
            typer.echo(safe(line))


def ordered(order: dict[str, Any]) -> tuple[object, ...]:
    """An order as its row."""
    names = ("at", "order", "attempt", "pilot_id", "requested_by", "outcome", "ended_at", "reason")
    return tuple(order.get(name, "") for name in names)


def said(value: Any) -> str:
    """A value in one line."""
    return value if isinstance(value, str) else text.dumps(value)
