"""Order a pilot to end its payloads, report their jobs as Failed, and leave at once."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.verbs.common import Json, client, print_json, talk


def run(
    pilot: Annotated[str, typer.Argument(metavar="PILOT", help="A pilot's id, as `pilotbus pilots` shows it.")],
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Order a pilot to leave at once."""
    with client("stop") as bus:
        found = bus.ask("pilot.stop.v1", {"pilot_id": pilot})
    if json:
        print_json(found)
    else:
        talk.print(f"pilot {pilot} has the order to end its payloads and leave")
