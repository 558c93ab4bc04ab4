"""Give a pilot its next token, as long as it is neither revoked nor banned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from bus import Db, Event
from schemas.rules.identity import pilot_account

CONSUMES = ("token.renew.v1",)
EMITS = ()


class Hands(Protocol):
    """The issuer."""

    def pilot(self, pilot_id: str) -> Any:
        """A pilot's token."""
        ...


def decide(standing: dict[str, Any]) -> str:
    """The reason why there is no next token, or nothing."""
    return standing["banned"] or ""


def handle(event: Event, db: Db, hands: Hands) -> Iterable[Event]:
    pilot_id = event.data["pilot_id"]  # which is the asker itself, or whose token the door has seen
    if reason := decide(db.one("standing", account=pilot_account(pilot_id)) or {}):
        return [event.refuse("denied", reason)]
    token = hands.pilot(pilot_id)
    return [event.reply({"token": token.text, "expires_at": token.expires_at})]
