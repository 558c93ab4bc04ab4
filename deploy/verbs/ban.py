"""Shut out a person, a pilot or all pilots of a site: connections are closed, nothing is believed, waiting jobs stay waiting."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.verbs.common import Json, client, print_json, talk

Kind = Annotated[str, typer.Argument(metavar="KIND", help="user, pilot or site.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="An account, a pilot's id, a site's name.")]


def run(
    kind: Kind,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; whoever is refused is told.")],
    hours: Annotated[
        float | None, typer.Option(help="For so long, as 0.5 or 48; until it is lifted when absent.", min=0.02)
    ] = None,
    kill_jobs: Annotated[bool, typer.Option("--kill-jobs", help="Kill a person's jobs on pilots too.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Shut somebody out."""
    asked: dict[str, Any] = {"kind": kind, "name": name, "reason": reason}
    asked |= {"minutes": round(hours * 60)} if hours else {}
    asked |= {"kill_jobs": True} if kill_jobs else {}
    with client("ban") as bus:
        told = bus.ask("security.ban.v1", asked)
    if json:
        print_json(told)
    else:
        killed = f"; {told['killed']} jobs on pilots are to be killed" if told["killed"] else ""
        typo = "" if told.get("known", True) else f"; no such {kind} is known"
        talk.print(f"{kind} {name} is banned{' until ' + told['until'] if 'until' in told else ''}{killed}{typo}", markup=False)
