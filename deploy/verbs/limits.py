"""Show what is limited at sites, how far each limit is used, and which are reached; a site's description says them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deploy.verbs.common import Json, client, print_json, print_table, talk
from deploy.verbs.pilots import brief


def run(
    site: Annotated[str, typer.Option(help="Only at this site.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show what is limited."""
    asked: dict[str, Any] = {"site": site} if site else {}
    found: list[dict[str, Any]] = []
    with client("limits") as bus:
        more = True
        while more:
            page = bus.ask("limit.query.v1", asked | ({"after": found[-1]["limit_id"]} if found else {}))
            found += page["limits"]
            more = page["more"]
    found.sort(key=lambda limit: [limit[name] for name in ("site", "ce", "attribute", "value")])
    if json:
        print_json(found)
        return
    print_table(("Site", "CE", "Attribute", "Value", "Running", "Most", "Delay s", "Burst", "Reached"), map(row, found))
    if not found:
        talk.print("nothing is limited")


def row(limit: dict[str, Any]) -> tuple[object, ...]:
    """A limit as its row."""
    named = [limit[name] for name in ("site", "ce", "attribute", "value", "running")]
    again = f", again in {brief(limit['again_s'])} s" if "again_s" in limit else ""
    rate = (brief(limit.get("delay_s")), limit.get("burst", ""))
    return (*named, limit.get("most", ""), *rate, f"yes{again}" if limit["reached"] else "")
