"""The fates of a message that could not be handled."""

from __future__ import annotations

from schemas import Invalid

__all__ = ["Bug", "Conflict", "Invalid", "Later", "Mismatch", "Refused", "Unavailable", "Unroutable"]


class Later(Exception):
    """The outside is not ready; try again, and burn no delivery for it."""


class Conflict(Exception):
    """A row was no longer what the handler had read; read again and decide again."""


class Bug(Exception):
    """A handler failed on an event; what it raised is the cause."""


class Unroutable(Exception):
    """No queue takes this message; nothing was kept of it."""


class Unavailable(Exception):
    """The broker or the database can not be reached; nothing acknowledged is lost."""


class Mismatch(Exception):
    """The broker has a queue of another version; only a person can decide what becomes of what it holds."""


class Refused(Exception):
    """A service said no: a code (invalid, not_found, denied, conflict, unavailable) and one clear sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason
