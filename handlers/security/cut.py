"""Close the connections of whoever is shut out and let the broker refuse new ones, until it is let in again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from bus import Db, Event
from schemas.rules.identity import pilot_account

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


def decide(event: Event) -> tuple[str, str]:
    """What kind of account the event is about, and its name."""
    if "pilot_id" in event.data:
        return "pilot", event.data["pilot_id"]
    return event.data["kind"], event.data["name"]


def act(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    kind, name = decide(event)
    pilots = [] if kind == "user" else db.all("pilots", kind=kind, whom=name)
    accounts = [name] if kind == "user" else [pilot_account(row["pilot_id"]) for row in pilots]
    banned = {row["account"] for row in db.all("banned", accounts=accounts)}
    if event.type == "security.block_ended.v1":
        hands.let_in(accounts)
        return []
    hands.shut_out([account for account in accounts if account in banned], event.data.get("reason", "banned"))
    hands.let_in([account for account in accounts if account not in banned])
    if event.type == "pilot.revoked.v1":
        db.run("arm", pilot_id=name, within_s=TOKENS_OVER_S)
    return []
