"""Who speaks: a pilot's account on the bus is its id behind a mark that no person's account may carry."""

from __future__ import annotations

from typing import Optional

_MARK = "pilot-"


def pilot_account(pilot_id: str) -> str:
    """The account of a pilot: the subject of its token, the first word of its routing keys."""
    return _MARK + pilot_id


def pilot_of(account: str) -> Optional[str]:
    """The pilot's id when this is a pilot's account, else None."""
    return account[len(_MARK) :] if account.startswith(_MARK) else None
