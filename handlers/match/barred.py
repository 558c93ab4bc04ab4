"""What limits forbid at which site, as the last look at them has shown: a hint, until something may have changed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from handlers.match.index import Index
from handlers.match.parked import Profile
from schemas.rules.limits import ALL_JOBS

ANEW_S = 30.0  # an event that said that there is room may have been lost
_NAMED = {"Owner": "Owner", "OwnerGroup": "OwnerGroup", "VO": "VO", "JobType": "JobTypes"}


@dataclass(frozen=True, slots=True)
class _Bar:
    blocked: tuple[tuple[str, str], ...]
    until_s: float


class Barred:
    """By site and computing element, what nobody there may be given now. One thread uses it."""

    def __init__(self) -> None:
        self._bars: dict[tuple[str, str], _Bar] = {}

    def bar(self, site: str, ce: str, blocked: Iterable[tuple[str, str]], again_s: float | None) -> None:
        """These attributes and values are forbidden there, until a token comes or something happens."""
        wait_s = ANEW_S if again_s is None else min(ANEW_S, again_s)
        self._bars[site, ce] = _Bar(tuple(blocked), time.monotonic() + wait_s)

    def opened(self, site: str) -> bool:
        """Nothing is taken as forbidden at this site; whether anything was."""
        return self._drop([place for place in self._bars if place[0] == site])

    def over(self, now_s: float) -> bool:
        """What was forbidden only until now is not; whether anything was."""
        return self._drop([place for place, bar in self._bars.items() if bar.until_s <= now_s])

    def next_s(self) -> float:
        """When something may be allowed again at the soonest."""
        return min((bar.until_s for bar in self._bars.values()), default=float("inf"))

    def queues(self, profile: Profile, index: Index) -> int:
        """The queues none of whose jobs this profile may have now."""
        mask = 0
        for attribute, value in self._at(profile):
            if attribute == ALL_JOBS:
                return index.all
            if attribute in _NAMED:
                mask |= index.naming(_NAMED[attribute], (value,))
        return mask

    def job_groups(self, profile: Profile) -> frozenset[str]:
        """The job groups of which this profile may have none now."""
        return frozenset(value for attribute, value in self._at(profile) if attribute == "JobGroup")

    def _at(self, profile: Profile) -> tuple[tuple[str, str], ...]:
        bar = self._bars.get((profile.site, profile.ce)) if self._bars else None
        return bar.blocked if bar is not None else ()

    def _drop(self, places: list[tuple[str, str]]) -> bool:
        for place in places:
            del self._bars[place]
        return bool(places)
