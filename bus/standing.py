"""Who an account is to the house: whether it may speak, where its pilot was enrolled, and how much it says.

Known from the database and at most FRESH_S old, so that a ban takes effect in seconds without a query per message.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

FRESH_S = 2.0
MOST_KNOWN = 50_000
# dropped beyond its rate, an account is no longer in a hurry but a flood
FLOOD = 4_000

_STANDING = "SELECT account, banned, pilot_id, site, operates FROM trust.standing(%s)"


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says of an account."""

    banned: str | None = None
    pilot_id: str | None = None
    site: str | None = None
    operates: bool = False


class Standing:
    """What is known of accounts; shared by all loops of a process."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, Known]] = {}

    def learn(self, connection: Connection[Any], accounts: Iterable[str | None]) -> None:
        """What is known of these is fresh."""
        now_s = time.monotonic()
        stale = {name for name in accounts if name and ((entry := self._known.get(name)) is None or entry[0] < now_s - FRESH_S)}
        if not stale:
            return
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        for account, *told in connection.execute(_STANDING, (sorted(stale),)):
            self._known[account] = (now_s, Known(*told))

    def of(self, account: str) -> Known:
        """What was last learnt."""
        entry = self._known.get(account)
        return entry[1] if entry else Known()


class Rates:
    """A bucket of messages per account, filled at a steady rate; shared by all loops of a process."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._buckets: dict[str, tuple[float, float]] = {}
        self._dropped: dict[str, int] = {}
        self._lock = threading.Lock()

    def spend(self, account: str, cost: float = 1.0) -> bool:
        """Whether one more message, of this cost, is within the account's rate."""
        if not self._per_s:
            return True
        now_s = time.monotonic()
        with self._lock:
            if len(self._buckets) > MOST_KNOWN:
                self._buckets.clear()
            left, at_s = self._buckets.get(account, (self._burst, now_s))
            left = min(self._burst, left + (now_s - at_s) * self._per_s)
            self._buckets[account] = (max(0.0, left - cost), now_s)
            if left >= cost:
                return True
            self._dropped[account] = self._dropped.get(account, 0) + 1
            return False

    def floods(self) -> dict[str, int]:
        """The accounts of which so much was dropped since this was last asked that it is a flood, and how much."""
        with self._lock:
            found = {account: count for account, count in self._dropped.items() if count >= FLOOD}
            for account in found:
                del self._dropped[account]
            return found
