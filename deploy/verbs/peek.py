"""Show how a running job is, now: what it uses, and the last lines of its output. Its pilot is asked."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.verbs.common import Json, client, one_job, print_json, print_table, safe, talk

COLUMNS = ("Said at", "Attempt", "Wall time (s)", "CPU time (s)", "Memory (MB)", "Disk (MB)")


def run(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job that runs.")],
    wait: Annotated[int, typer.Option(min=1, max=120, help="How many seconds to wait for its pilot.")] = 20,
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show how a running job is, now."""
    job_id = one_job(job)
    with client("peek") as bus:
        said = bus.ask("job.peek.v1", {"job_id": job_id, "wait_s": wait}, within_s=wait + 10)
    if json:
        print_json(said)
        return
    if "at" in said:
        print_table(COLUMNS, [row(said)])
        for line in said.get("last_lines", ()):
            typer.echo(safe(line))
    if not said["fresh"]:
        talk.print(f"its pilot did not answer within {wait} s" + ("; that is what it said last" if "at" in said else ""))


def row(said: dict[str, Any]) -> tuple[object, ...]:
    """What was said as a row."""
    return tuple(said.get(name, "") for name in ("at", "attempt", "wall_s", "cpu_s", "memory_mb", "disk_mb"))
