"""Show whose turn it is: each group's share, what it should have, what it has used and has now, in the order of serving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from bus.client import Client
from bus.errors import Refused
from deploy.verbs.common import Json, client, print_json, print_table, talk
from schemas.rules.shares import FORMULA

COLUMNS = ("Next", "Group", "VO", "Share", "Should %", "Used %", "", "Processors", "Waiting", "Score")
WIDE = 20


def run(
    vo: Annotated[str, typer.Option(help="Only groups of this community.")] = "",
    users: Annotated[bool, typer.Option("--users", help="With the users of groups of your communities.")] = False,  # noqa: FBT002
    json: Json = False,  # noqa: FBT002 - an option of the command line
) -> None:
    """Show whose turn it is."""
    with client("shares") as bus:
        about, groups = _pages(bus, {"vo": vo} if vo else {}, "groups", "group")
        for group in groups if users else ():
            _add_users(bus, group)
    groups = in_order(groups)
    told = formula(about)
    if json:
        names = ("policy", "half_life_s", "horizon_s")
        print_json({"formula": told, **{name: about[name] for name in names}, "groups": groups})
        return
    print_table(COLUMNS, rows(groups))
    talk.print(told, soft_wrap=True)


def _pages(bus: Client, asked: dict[str, Any], listed: str, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    while True:
        page = bus.ask("share.query.v1", asked | ({"after": found[-1][name]} if found else {}))
        found += page[listed]
        if not page["more"]:
            return page, found


def _add_users(bus: Client, group: dict[str, Any]) -> None:
    """Those that one may see."""
    try:
        group["users"] = in_order(_pages(bus, {"group": group["group"]}, "users", "owner")[1])
    except Refused as problem:
        if problem.code != "denied":
            raise


def in_order(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who is served next first; who waits for nothing last, by name."""
    return sorted(found, key=lambda row: row.get("place", float("inf")))


def formula(about: dict[str, Any]) -> str:
    """By what they are ordered, in one line."""
    if about["policy"]:
        return f"policy {about['policy']} scores, lowest first; core_s halves every {about['half_life_s']:.0f} s"
    return FORMULA.format(**about)


def rows(groups: Sequence[dict[str, Any]]) -> Iterator[list[object]]:
    """A row a group, and below it one a user."""
    percents = [row.get(name, 0.0) for row in groups for name in ("expected_percent", "used_percent")]
    full = max([*percents, 1.0])
    for group in groups:
        yield _row(group, f"{group['group']} (one)" if group["sharing"] else group["group"], full)
        for user in group.get("users", ()):
            yield _row(user, f"  {user['owner']}", full)


def _row(row: dict[str, Any], name: str, full: float) -> list[object]:
    wanted, had = (row.get(f"{word}_percent") for word in ("expected", "used"))
    numbers = ["" if percent is None else f"{percent:.1f}" for percent in (wanted, had)]
    told = [row["processors"], "yes" if row["waiting"] else "", f"{row['score']:.0f}" if "score" in row else "never first"]
    return [row.get("place", ""), name, row.get("vo", ""), row.get("share", ""), *numbers, bar(had, wanted, full), *told]


def bar(had: float | None, wanted: float | None, full: float) -> str:
    """As much as was used, and a line where the share ends."""
    filled = round((had or 0.0) / full * WIDE)
    letters = list("█" * filled + "·" * (WIDE - filled))
    if wanted is not None:
        letters.insert(round(wanted / full * WIDE), "|")
    return "".join(letters)
