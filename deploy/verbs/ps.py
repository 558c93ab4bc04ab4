"""Show what `pilotbus up` has started and how it is. Exits 5 when a part has died."""

from __future__ import annotations

from bus.account import STACK
from deploy import local
from deploy.verbs.common import UNAVAILABLE, Failure, Json, print_json, print_table


def run(json: Json = False) -> None:  # noqa: FBT002 - an option of the command line
    """Show what runs on this machine."""
    found = local.status(STACK)
    if json:
        print_json(found)
    else:
        print_table(("Name", "State", "PID", "Port"), ((s["name"], s["state"], s["pid"] or "", s["port"] or "") for s in found))
    if dead := [server["name"] for server in found if server["state"] == "died"]:
        raise Failure(f"{', '.join(dead)} died; the log is in {local.directory_of(STACK)}", UNAVAILABLE)
