"""Show which accounts the registry has, or the named one; for operators, and for who has the property UserManager."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Refused
from deploy.verbs.common import Json, client, print_json, print_table, talk


def run(
    account: Annotated[str, typer.Argument(metavar="[ACCOUNT]", help="Only this account.")] = "",
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show which accounts there are."""
    with client("users") as bus:
        found = accounts(bus, account)
    if json:
        print_json(found)
        return
    print_table(("Account", "Groups", "VOs", "Subjects", "Email"), map(row, found))
    if not found:
        talk.print("no accounts")


def accounts(bus: Client, account: str) -> list[dict[str, Any]]:
    """All accounts, or the one, by whichever request the asker has the right to."""
    named = {"account": account} if account else {}
    try:
        return _pages(bus, "registry.list.v1", named)
    except Refused as problem:
        if problem.code != "denied":
            raise
    return _pages(bus, "registry.query.v1", named or {"everyone": True})  # who is no operator may be a user manager


def _pages(bus: Client, kind: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    more = True
    while more:
        page = bus.ask(kind, asked | ({"after": found[-1]["account"]} if found else {}))
        found += page["accounts"]
        more = page["more"]
    return found


def row(user: dict[str, Any]) -> tuple[object, ...]:
    """An account as its row."""
    groups, vos = [g["group"] for g in user["groups"]], dict.fromkeys(g["vo"] for g in user["groups"])
    return user["account"], ", ".join(groups), ", ".join(vos), " | ".join(user["dns"]), user.get("email", "")
