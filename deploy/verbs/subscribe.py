"""Print events as they happen, one JSON line each: `pilotbus subscribe 'job.#'`, or 'job.*.v1.17' for one job."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from bus.errors import Refused
from deploy.verbs.common import DENIED, UNAVAILABLE, Failure, client, print_line, talk


def run(
    patterns: Annotated[list[str], typer.Argument(metavar="PATTERN...", help="Topic patterns: * is one word, # any number.")],
    count: Annotated[int, typer.Option(help="Stop after so many events.")] = 0,
    mine: Annotated[bool, typer.Option("--mine", help="Only of your own jobs; all events are an operator's.")] = False,  # noqa: FBT002
    timeout: Annotated[float, typer.Option(help="Stop after so many seconds; with --count that is a failure.")] = 0.0,
) -> None:
    """Print events as they happen."""
    until = time.monotonic() + timeout if timeout else float("inf")
    seen = 0
    with client("subscribe") as bus:
        try:
            (bus.follow_own if mine else bus.follow)(*patterns)
        except Refused as problem:
            raise Failure("you may not follow all events; add --mine for those of your own jobs", DENIED) from problem
        talk.print(f"following {' '.join(patterns)}")
        while time.monotonic() < until and not (count and seen >= count):
            for event in bus.events():
                print_line(json.loads(event.to_json()))
                seen += 1
                if count and seen >= count:
                    break
    if count and seen < count:
        raise Failure(f"{seen} of {count} events came within {timeout:.0f} s", UNAVAILABLE)
