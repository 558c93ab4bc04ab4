"""Order a pilot to take no more jobs and to leave when its present one is over."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.verbs.common import Json, client, print_json, talk


def run(
    pilot: Annotated[str, typer.Argument(metavar="PILOT", help="A pilot's id, as `pilotbus pilots` shows it.")],
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Order a pilot to leave."""
    with client("drain") as bus:
        found = bus.ask("pilot.drain.v1", {"pilot_id": pilot})
    if json:
        print_json(found)
    else:
        talk.print(f"pilot {pilot} has the order to leave")
