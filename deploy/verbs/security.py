"""Show what was refused, banned and revoked, and failed logins; with -f, go on as it happens."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from json import loads
from typing import Annotated, Any

import typer

from bus.errors import Invalid, Unavailable
from deploy.verbs.common import DENIED, Failure, Json, client, print_json, print_line, print_table, safe

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def run(
    since: Annotated[str, typer.Option(help="Such as 30m, 12h, 7d.")] = "24h",
    account: Annotated[str | None, typer.Option(help="Only about this account, pilot or name.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=200)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it happens.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show security events."""
    asked: dict[str, Any] = {"since": moment(since), "limit": limit} | ({"account": account} if account else {})
    with client("security") as bus:
        if follow:
            try:
                bus.follow("security.#", "pilot.revoked.#")
            except Unavailable as problem:
                raise Failure("what happens to others is for operators to follow", DENIED) from problem
        events = bus.ask("security.query.v1", asked)["events"][::-1]
        if json and not follow:
            print_json(events)
        else:
            print_table(("At", "What", "Who", "Why"), map(row, events))
        while follow:
            for event in bus.events():
                if json:
                    print_line(loads(event.to_json()))
                else:
                    sys.stdout.write(line({"type": event.type, "at": event.time, "told": event.data}) + "\n")
                    sys.stdout.flush()


def line(event: dict[str, Any]) -> str:
    """What is printed as it happens: a table would have to know the width of what is yet to come."""
    return "  ".join(map(safe, row(event)))


def row(event: dict[str, Any]) -> tuple[str, str, str, str]:
    """When, what, who, why."""
    told = event["told"]
    who = told.get("account") or told.get("pilot_id") or f"{told.get('kind', '')} {told.get('name', '')}".strip()
    rest = {name: value for name, value in told.items() if name not in ("account", "pilot_id", "kind", "name", "reason")}
    why = str(told.get("reason") or ", ".join(f"{name} {value}" for name, value in rest.items()))
    return event["at"], event["type"].removesuffix(".v1"), str(who), why


def moment(ago: str) -> str:
    """So long ago, as RFC 3339. Raises Invalid."""
    found = re.fullmatch(r"([0-9]{1,5})([mhd])", ago)
    if not found:
        raise Invalid(f"--since {ago}: write 30m, 12h or 7d")
    when = datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
