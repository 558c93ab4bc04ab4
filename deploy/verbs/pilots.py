"""Show which pilots there are and what they do."""

from __future__ import annotations

from typing import Any

from deploy.verbs.common import Json, client, print_json, print_table


def run(json: Json = False) -> None:  # noqa: FBT002 - an option of the command line
    """Show which pilots there are."""
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
        names = ("pilot_id", "site", "state", "phase", "last_seen_at", "reason")
        print_table(("Pilot", "Site", "State", "Phase", "LastSeen", "Reason"), ([p.get(n, "") for n in names] for p in found))
