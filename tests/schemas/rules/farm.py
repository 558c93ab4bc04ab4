"""A farm in small: slots, groups with users who always want more, and the house's rule of whose turn it is."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.rules.shares import HALF_LIFE_S, USER_SHARE, Score, Usage, accrued, expected, score, used

DAY_S = 86_400.0


@dataclass(frozen=True)
class Group:
    """Who wants, and what their jobs are like: lengths are drawn around the mean, `away` is when nobody wants anything."""

    share: int = 1000
    users: tuple[str, ...] = ("ada",)
    mean_s: float = 3600.0
    processors: int = 1
    sharing: bool = False
    away: tuple[float, float] = (0.0, 0.0)
    submits: Mapping[str, int] = field(default_factory=dict)  # how often a user's job is the oldest of a sharing group

    def wants(self, at: float) -> bool:
        return not self.away[0] <= at < self.away[1]


class Farm:
    """Slots that take one job each, whatever its width; each slot that is free asks at once."""

    def __init__(
        self, groups: Mapping[str, Group], slots: int, seed: int, rule: Score = score, half_life_s: float = HALF_LIFE_S
    ) -> None:
        self.groups, self.slots, self.rule, self.half_life_s = groups, slots, rule, half_life_s
        self.at = 0.0
        self._chance = random.Random(seed)
        self._ends: list[tuple[float, int, str, str]] = []
        self._of_group = dict.fromkeys(groups, Usage())
        self._of_user = {(name, user): Usage() for name, group in groups.items() for user in group.users}
        self._exact: dict[Any, float] = defaultdict(float)  # core seconds that never decay

    def run(self, until: float) -> Farm:
        """It is so late now."""
        self._fill()
        while self._ends and self._ends[0][0] <= until:
            self.at, _, group, user = heapq.heappop(self._ends)
            self._take(group, user, -self.groups[group].processors)
            self._fill()
        self.at = until
        return self

    def _fill(self) -> None:
        while len(self._ends) < self.slots and (group := self._next_group()):
            user, job = self._next_user(group), self.groups[group]
            length = max(1.0, self._chance.expovariate(1.0 / job.mean_s))
            self._take(group, user, job.processors)
            heapq.heappush(self._ends, (self.at + length, self._chance.getrandbits(62), group, user))

    def _next_group(self) -> str | None:
        wanting = [name for name, group in self.groups.items() if group.wants(self.at)]
        return min(wanting, key=lambda name: self._score(self._of_group[name], self.groups[name].share), default=None)

    def _next_user(self, name: str) -> str:
        group = self.groups[name]
        if group.sharing:  # one entity: its oldest job, whosever it is
            return self._chance.choices(group.users, [group.submits.get(user, 1) for user in group.users])[0]
        return min(group.users, key=lambda user: self._score(self._of_user[name, user], USER_SHARE))

    def _score(self, usage: Usage, share: float) -> float:
        now = accrued(usage, self.at, self.half_life_s)
        return self.rule(now.processors, now.core_s, share)

    def _take(self, group: str, user: str, processors: int) -> None:
        for usages, key in ((self._of_group, group), (self._of_user, (group, user))):
            before = usages[key]  # type: ignore[index]
            self._exact[key] += before.processors * (self.at - before.at)
            usages[key] = used(before, processors, self.at, self.half_life_s)  # type: ignore[index]

    def core_s(self) -> dict[Any, float]:
        """What each group, and each (group, user), has had until now, without decay."""
        return {
            key: self._exact[key] + usage.processors * (self.at - usage.at)
            for key, usage in [*self._of_group.items(), *self._of_user.items()]
        }

    def held(self) -> dict[str, int]:
        """How many processors each group has in use."""
        return {name: usage.processors for name, usage in self._of_group.items()}


def percents(farm: Farm, since: Mapping[Any, float]) -> dict[str, float]:
    """Of what was used since then, how much each group has had."""
    had = {name: farm.core_s()[name] - since.get(name, 0.0) for name in farm.groups}
    return {name: 100.0 * amount / sum(had.values()) for name, amount in had.items()}


def groups_worst_percent(farm: Farm, since: Mapping[Any, float]) -> float:
    """How far the group that is furthest from its share is from it, in percent of that share."""
    wanted = expected({name: group.share for name, group in farm.groups.items()})
    return max(abs(got - wanted[name]) / wanted[name] * 100.0 for name, got in percents(farm, since).items())


def users_worst_percent(farm: Farm, since: Mapping[Any, float]) -> float:
    """The same for users, who divide what their group has had; those of groups that are one entity do not count."""
    now = farm.core_s()
    worst = [0.0]
    for name, group in farm.groups.items():
        had = [now[name, user] - since.get((name, user), 0.0) for user in group.users]
        if not group.sharing:
            worst.append(_furthest(had))
    return max(worst)


def _furthest(amounts: Iterable[float]) -> float:
    found = list(amounts)
    mean = sum(found) / len(found)
    return max(abs(amount - mean) / mean * 100.0 for amount in found)
