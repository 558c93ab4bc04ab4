"""Close the connections of whoever is shut out and let the broker refuse new ones, until it is let in again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bus import Db, Event

CONSUMES = ("security.banned.v1", "security.ban_lifted.v1", "security.block_ended.v1", "pilot.revoked.v1")
EMITS = ()

TOKENS_OVER_S = 1_200  # the last token of a pilot has surely ended


class Hands(Protocol):
    """The broker's administration."""

    def shut_out(self, accounts: Sequence[str], reason: str) -> None:
        """These are not connected, and can not connect."""
        ...

    def let_in(self, accounts: Sequence[str]) -> None:
        """These may connect, as far as their rights go."""
        ...


def decide(kind: str, known: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Who is shut out now that this event has come, and who is let in."""
    if kind == "security.block_ended.v1":
        return [], [one["account"] for one in known if one["revoked"] or not one["banned"]]
    back = [one["account"] for one in known if not one["banned"]]
    if kind == "security.ban_lifted.v1":
        return [], back  # who is shut out for another reason is so already
    return [one["account"] for one in known if one["banned"] and one["may_come"]], back


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    kind, name = ("pilot", event.data["pilot_id"]) if "pilot_id" in event.data else (event.data["kind"], event.data["name"])
    out, back = decide(event.type, db.all("person", account=name) if kind == "user" else db.all("pilots", kind=kind, whom=name))
    hands.shut_out(out, event.data.get("reason", "banned"))
    hands.let_in(back)
    if kind == "pilot" and out:
        db.run("arm", pilot_id=name, within_s=TOKENS_OVER_S)
    return []
