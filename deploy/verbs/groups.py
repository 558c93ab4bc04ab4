"""Show how many of your jobs are in which state, group by group: exact, also where there are millions.

With --all, the groups of everybody whose jobs you may see.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.selections import groups
from deploy.verbs.common import Json, client, print_json, print_table, talk
from schemas.rules.job_states import STATES


def run(
    group: Annotated[str, typer.Argument(metavar="[JOBGROUP]", help="Only this JobGroup.", show_default=False)] = "",
    owner: Annotated[str, typer.Option(help="Groups of this account, as far as you may see them.")] = "",
    owner_group: Annotated[str, typer.Option(help="Groups of jobs of this group, as far as you may see them.")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="All groups that you may see.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show groups of jobs."""
    named = {"job_group": group, "owner": owner, "owner_group": owner_group, "everybody": everybody}
    with client("groups") as bus:
        found = groups(bus, {name: value for name, value in named.items() if value})
    if json:
        print_json(found)
        return
    states = [state for state in STATES if any(state in each["counts"] for each in found)]
    columns = ("JobGroup", "Owner", "Group", "VO", "Jobs", *states)
    print_table(columns, (row(each, states) for each in found))
    if not found:
        talk.print("no groups")


def row(each: dict[str, Any], states: list[str]) -> tuple[object, ...]:
    """A group as its row."""
    named = (each["job_group"], each["owner"], each["owner_group"], each["vo"], each["jobs"])
    return (*named, *(each["counts"].get(state, 0) for state in states))
