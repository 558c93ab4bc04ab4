"""Order a pilot to say more of itself, or less: from now on, until it leaves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from deploy.verbs.common import Json, client, print_json, talk


class Level(StrEnum):
    """The least that is said."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    pilot: Annotated[str, typer.Argument(metavar="PILOT", help="A pilot's id, as `pilotbus pilots` shows it.")],
    level: Annotated[Level, typer.Argument(help="The least that is said.")],
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Order a pilot to say more, or less."""
    with client("log-level") as bus:
        found = bus.ask("pilot.set_log_level.v1", {"pilot_id": pilot, "level": level.value})
    if json:
        print_json(found)
    else:
        talk.print(f"pilot {pilot} has the order to say what is {level.value} or worse")
