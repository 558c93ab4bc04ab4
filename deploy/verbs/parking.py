"""Messages that could not be handled: list them, show one, replay it to its queue, or drop it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.verbs.common import Json, client, print_json, print_table, safe, talk

app = typer.Typer(help=__doc__, no_args_is_help=True)
Which = Annotated[int, typer.Argument(metavar="ID", help="As `pilotbus parking list` shows it.", min=1)]


@app.command("list")
def list_(json: Json = False) -> None:  # noqa: FBT002 - an option of the command line
    """List what is parked (failed too often) or in quarantine (invalid)."""
    found: list[dict[str, Any]] = []
    with client("parking") as bus:
        more = True
        while more:
            page = bus.ask("parking.list.v1", {"after": found[-1]["parked_id"] if found else 0})
            found += page["parked"]
            more = page["more"]
    if json:
        print_json(found)
    else:
        names = ("parked_id", "parked_at", "queue", "reason", "type", "account")
        rows = ([*(p.get(n, "") for n in names), (p["detail"].splitlines() or [""])[-1]] for p in found)
        print_table(("ID", "At", "Queue", "Reason", "Type", "Account", "Detail"), rows)


@app.command()
def show(parked: Which, json: Json = False) -> None:  # noqa: FBT002
    """Show one whole: why it is there, and its bytes."""
    with client("parking") as bus:
        found = bus.ask("parking.show.v1", {"parked_id": parked})
    if json:
        print_json(found)
    else:
        for name, value in found.items():
            typer.echo(f"{name}: " + "\n".join(safe(line) for line in str(value).split("\n")))


@app.command()
def replay(parked: Which, json: Json = False) -> None:  # noqa: FBT002
    """Send it to its queue once more, with its own id."""
    _settle("replay", parked, json=json)


@app.command()
def drop(parked: Which, json: Json = False) -> None:  # noqa: FBT002
    """Settle it for good; its bytes stay on record."""
    _settle("drop", parked, json=json)


def _settle(verb: str, parked: int, *, json: bool) -> None:
    with client("parking") as bus:
        found = bus.ask(f"parking.{verb}.v1", {"parked_id": parked})
    if json:
        print_json(found)
    else:
        talk.print(f"{verb} of {parked}: done")
