"""Show who you are to the services: your account, your groups with their communities and properties, and your default."""

from __future__ import annotations

from typing import Any

from deploy.verbs.common import Json, client, print_json, print_table, talk


def run(json: Json = False) -> None:  # noqa: FBT002 - an option of the command line
    """Show who you are."""
    with client("whoami") as bus:
        (me,) = bus.ask("registry.query.v1", {})["accounts"]
    if json:
        print_json(me)
        return
    talk.print(f"account {me['account']}{'' if me['known'] else ', which the registry does not know'}")
    print_table(("Group", "VO", "Properties", "Default"), (row(group, me) for group in me["groups"]))
    if not me["groups"]:
        talk.print("in no group: you may do nothing")


def row(group: dict[str, Any], me: dict[str, Any]) -> tuple[object, ...]:
    """A group as its row."""
    return group["group"], group["vo"], ", ".join(group["properties"]), "yes" if group["group"] == me["default_group"] else ""
