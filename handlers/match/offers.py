"""What asked for jobs lately, counted until it is kept: `why` compares a job with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from bus import now
from handlers.match.parked import Ask, Profile

KEPT_EVERY_S = 10.0
HOUR_S = 3600
MOST_AT_ONCE = 50
MOST_SEEN = 1_000_000  # beyond that, pilots of this hour are counted too low


@dataclass(slots=True)
class _Count:
    profile: Profile
    requests: int = 0
    pilots: set[str] = field(default_factory=set)


class Offers:
    """Requests by profile, and how many pilots were not counted before in this hour. One thread uses it."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._seen: set[int] = set()
        self._hour = 0
        self._kept_s = time.monotonic()

    def note(self, ask: Ask) -> None:
        """This was asked."""
        if (hour := int(time.time() // HOUR_S)) != self._hour:
            self._hour = hour
            self._seen.clear()
        count = self._counts.setdefault(ask.profile.key, _Count(ask.profile))
        count.requests += 1
        seen = hash((ask.profile.key, ask.pilot_id))
        if seen not in self._seen and len(self._seen) < MOST_SEEN:
            self._seen.add(seen)
            count.pilots.add(ask.pilot_id)

    def due(self) -> list[dict[str, Any]]:
        """The rows that are to be kept now, if it is time, and some at a time; they are counted no more."""
        if not self._counts or time.monotonic() < self._kept_s + KEPT_EVERY_S:
            return []
        at, some = now(), [self._counts.pop(key) for key in list(self._counts)[:MOST_AT_ONCE]]
        if not self._counts:
            self._kept_s = time.monotonic()
        return [
            {"at": at, "resource": count.profile.resource, "requests": count.requests, "pilots": len(count.pilots)}
            for count in some
        ]
