"""Say who an account is, with its groups, communities and properties; about others only to who may ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bus import Db, Event, fitting
from schemas.rules.rights import ASKS_ABOUT_ANYONE

CONSUMES = ("registry.query.v1", "registry.list.v1")
EMITS = ()

MOST = 100
NOBODY: dict[str, Any] = {"known": False, "dns": [], "email": "", "groups": []}


def decide(asked: Mapping[str, Any], account: str, memberships: Sequence[Mapping[str, Any]]) -> str | None:
    """None when the account may ask this; else the reason why not. Everybody may ask about itself."""
    if not asked.get("everyone") and asked.get("account", account) == account:
        return None
    if any(ASKS_ABOUT_ANYONE.intersection(membership["properties"]) for membership in memberships):
        return None
    return f"to ask about others, {account} needs the property Operator or UserManager in one of its groups"


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """One account as the reply shows it: what is not known is left out."""
    found = {name: row[name] for name in ("account", "known", "groups", "dns")}
    if row["groups"]:
        found["default_group"] = row["groups"][0]["group"]
    return found | ({"email": row["email"]} if row["email"] else {})


def handle(event: Event, db: Db) -> Iterable[Event]:
    asked, account = event.data, event.authid or ""
    mine = db.all("standing", account=account)
    lists = event.type == "registry.list.v1"  # the gate lets only operators say that
    if not lists and (reason := decide(asked, account, mine)):
        return [event.refuse("denied", reason)]
    about = asked.get("account") if lists else None if asked.get("everyone") else asked.get("account", account)
    limit = min(asked.get("limit", MOST), MOST)
    rows = db.all("accounts", account=about, after=asked.get("after", ""), limit=limit + 1)
    if about == account and not rows:
        rows = [NOBODY | {"account": account, "groups": mine}]
    if about and not rows:
        return [event.refuse("not_found", f"the registry has no account {about}")]
    accounts = fitting([shown(row) for row in rows[:limit]])
    return [event.reply({"accounts": accounts, "more": len(rows) > len(accounts)})]
