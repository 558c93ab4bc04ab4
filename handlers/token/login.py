"""Give a person who has shown a certificate a token, in the account that the registry knows by its subject."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

from bus import Db, Event

CONSUMES = ("token.login.v1",)
EMITS = ("security.refused.v1",)

FOLLOWS_COMMUNITY = {"JobAdministrator", "JobMonitor"}


class Hands(Protocol):
    """The issuer."""

    def person(self, account: str, *, operates: bool, vos: Sequence[str], seconds: int) -> Any:
        """A person's token."""
        ...


def decide(users: Sequence[dict[str, Any]], asked: dict[str, Any]) -> str:
    """The reason why there is no token, or nothing."""
    if asked["limited"]:
        return "a limited proxy is a payload's, and does not log in"
    if not users:
        return f"nobody is registered with the subject {asked['dns'][0]}"
    return users[0]["banned"] or ""


def handle(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    asked = event.data
    users = db.all("users", dns=asked["dns"])
    if reason := decide(users, asked):
        account = users[0]["account"] if users else "unknown"
        told = {"account": account, "reason": f"{reason} (from {asked['peer']})", "outcome": "denied"}
        refused = event.answer("security.refused.v1", account, told | {"refused_id": event.id, "refused_type": event.type})
        return [refused, event.refuse("denied", reason)]
    account = users[0]["account"]
    groups = db.all("groups", account=account)
    properties = {name for group in groups for name in group["properties"]}
    vos = sorted({group["vo"] for group in groups if FOLLOWS_COMMUNITY & set(group["properties"])})
    left = datetime.fromisoformat(asked["until"]) - datetime.fromisoformat(event.time)
    token = hands.person(account, operates="Operator" in properties, vos=vos, seconds=int(left.total_seconds()))
    return [event.reply({"account": account, "token": token.text, "expires_at": token.expires_at})]
