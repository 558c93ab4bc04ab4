"""Which pilots there are and what they do; the life of one, and how long phases take at each site."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Invalid
from deploy.verbs.common import PARTIAL, Failure, Json, client, data, print_json, print_table

app = typer.Typer(help=__doc__)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@app.callback(invoke_without_command=True)
def run(context: typer.Context, json: Json = False) -> None:  # noqa: FBT002 - an option of the command line
    """Show which pilots there are."""
    if context.invoked_subcommand:
        return
    found: list[dict[str, Any]] = []
    with client("pilots") as bus:
        more = True
        while more:
            page = bus.ask("pilot.query.v1", {"after": found[-1]["pilot_id"]} if found else {})
            found += page["pilots"]
            more = page["more"]
    if json:
        print_json(found)
    else:
        names = ("pilot_id", "site", "state", "phase", "jobs", "last_seen_at", "reason")
        heads = ("Pilot", "Site", "State", "Phase", "Jobs", "LastSeen", "Reason")
        print_table(heads, ([p.get(n, "") for n in names] for p in found))


@app.command()
def show(
    pilot: Annotated[str, typer.Argument(metavar="PILOT", help="A pilot's id, as `pilotbus pilots` shows it.")],
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show every phase that a pilot has told, and which are missing."""
    with client("pilots") as bus:
        found = phases_of(bus, pilot)
    if json:
        print_json(found)
        return
    print_table(("Number", "Phase", "At", "Seconds", "JobID", "Attempt", "Reason"), rows_of(found))


@app.command()
def stats(
    site: Annotated[str, typer.Option(help="Only this site.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Only the last 24h, 30m, 7d.")] = "24h",
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show how long each phase takes at each site, and why pilots leave."""
    asked = {"since_s": seconds(since)} | ({"site": site} if site else {})
    with client("pilots") as bus:
        found = bus.ask("pilot.stats.v1", asked)
    if json:
        print_json({"phases": found["phases"], "leaving": found["leaving"]})
    else:
        times = ("mean_s", "p50_s", "p95_s", "max_s")
        rows = ([p["site"], p["phase"], p["count"], *(brief(p.get(name)) for name in times)] for p in found["phases"])
        print_table(("Site", "Phase", "Count", "Mean s", "p50 s", "p95 s", "Max s"), rows)
        if found["leaving"]:
            data.print()
            left = ([p["site"], "failed" if p["failed"] else "planned", p["count"], p["reason"]] for p in found["leaving"])
            print_table(("Site", "Left", "Count", "Reason"), left)
    if found["more"]:
        raise Failure("these are not all: name one site, or less time", PARTIAL)


def phases_of(bus: Client, pilot_id: str) -> list[dict[str, Any]]:
    """Every phase that is known of a pilot."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = bus.ask("pilot.show.v1", {"pilot_id": pilot_id, "after": found[-1]["number"] if found else 0})
        found += page["phases"]
        more = page["more"]
    return found


def rows_of(phases: Sequence[dict[str, Any]]) -> Iterator[list[object]]:
    """A row a phase, and one for each gap in the numbers."""
    last = 0
    for phase in phases:
        if phase["number"] > last + 1:
            yield ["…", f"{phase['number'] - last - 1} phases are missing", "", "", "", "", ""]
        last = phase["number"]
        told = [phase.get(name, "") for name in ("job_id", "attempt", "reason")]
        yield [last, phase["phase"], phase["at"], brief(phase.get("seconds")), *told]


def seconds(text: str) -> int:
    """How many seconds 24h, 30m, 90s or 7d are. Raises Invalid."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise Invalid(f"{text!r} is no time; write 24h, 30m, 90s or 7d")
    return min(int(found[1]) * _UNITS[found[2]], 316_224_000)


def brief(value: float | None) -> str:
    """Seconds for a table."""
    return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:.0f}"
