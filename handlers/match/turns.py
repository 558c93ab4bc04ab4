"""Whose turn it is: groups by their shares, in a group its users, of a user's queues the most urgent, largest, oldest."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.rules.shares import JOB_SHARE, USER_SHARE, Score

Key = tuple[int, int, int, int]  # -priority, -size, job id, slot: the lowest is next


@dataclass(eq=False)
class User:
    """One owner's queues in one group, and what its jobs use; or all of a group whose members share (JobSharing)."""

    name: str
    mask: int = 0
    order: list[Key] = field(default_factory=list)
    processors: int = 0
    core_s: float = 0.0
    score: float = 0.0

    def next(self, mask: int) -> Key | None:
        """The key of the queue that comes next, of those in the mask."""
        if mask & self.mask:
            for key in self.order:
                if mask >> key[3] & 1:
                    return key
        return None


@dataclass(eq=False)
class Group:
    """A group's users, in the order of their scores."""

    name: str
    share: float
    mask: int = 0
    users: dict[str, User] = field(default_factory=dict)
    order: list[tuple[float, str]] = field(default_factory=list)
    processors: int = 0
    core_s: float = 0.0
    score: float = 0.0

    def next(self, mask: int) -> Key | None:
        """The key of the queue that comes next, of those in the mask."""
        return _first(self.order, self.users, mask & self.mask)


def _first(order: Iterable[tuple[float, str]], parties: Mapping[str, Any], mask: int) -> Key | None:
    """The next key of the party with the lowest score; of equal scores, the lowest key."""
    best: Key | None = None
    best_score = 0.0
    for score, name in order:
        if best is not None and score > best_score:
            break
        if mask & parties[name].mask and (key := parties[name].next(mask)) is not None and (best is None or key < best):
            best, best_score = key, score
    return best


class Turns:
    """Every queue in its place. One thread uses it."""

    def __init__(self, score: Score, shares: Mapping[str, float], sharing: Collection[str]) -> None:
        """Shares by group; the members of groups that are `sharing` are not told apart (DIRAC's property JobSharing)."""
        self._score, self._shares, self._sharing = score, shares, sharing
        self.groups: dict[str, Group] = {}
        self._order: list[tuple[float, str]] = []
        self._places: list[tuple[Group, User, int]] = []
        self._keys: list[Key | None] = []

    def add(self, slot: int, owner_group: str, owner: str, size: int) -> None:
        """The queue of this slot, the next one, is this owner's."""
        group = self._group(owner_group)
        user = self._user(group, owner)
        group.mask |= 1 << slot
        user.mask |= 1 << slot
        self._places.append((group, user, size))
        self._keys.append(None)

    def place(self, slot: int, priority_and_job: tuple[int, int] | None) -> None:
        """The queue's next job is this one; None when it has none."""
        _, user, size = self._places[slot]
        key = None if priority_and_job is None else (priority_and_job[0], -size, priority_and_job[1], slot)
        old = self._keys[slot]
        if key == old:
            return
        if old is not None:
            del user.order[bisect_left(user.order, old)]
        if key is not None:
            insort(user.order, key)
        self._keys[slot] = key

    def next(self, mask: int) -> int | None:
        """The slot of the queue whose turn it is, of those in the mask."""
        key = _first(self._order, self.groups, mask)
        return None if key is None else key[3]

    def party(self, slot: int) -> tuple[str, str]:
        """Whose queue it is: group and user as they are served."""
        group, user, _ = self._places[slot]
        return group.name, user.name

    def use(self, slot: int, processors: int) -> None:
        """The owner of this queue uses so many processors more."""
        group, user, _ = self._places[slot]
        user.processors += processors
        group.processors += processors
        self._rank_user(group, user)
        self._rank_group(group)

    def account(self, usage: Iterable[Mapping[str, Any]]) -> None:
        """What is used is this: rows of owner_group, owner, processors, core_s, as of this moment; of all who use anything."""
        for group in self.groups.values():
            group.processors, group.core_s = 0, 0.0
            for user in group.users.values():
                user.processors, user.core_s = 0, 0.0
        for row in usage:
            group = self._group(row["owner_group"])
            user = self._user(group, row["owner"])
            for party in (group, user):
                party.processors += row["processors"]
                party.core_s += row["core_s"]
        for group in self.groups.values():
            for user in group.users.values():
                user.score = self._score(user.processors, user.core_s, USER_SHARE)
            group.order = sorted((user.score, user.name) for user in group.users.values())
            group.score = self._score(group.processors, group.core_s, group.share)
        self._order = sorted((group.score, group.name) for group in self.groups.values())

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            group = self.groups[name] = Group(name, self._shares.get(name, JOB_SHARE))
            group.score = self._score(0, 0.0, group.share)
            insort(self._order, (group.score, name))
        return self.groups[name]

    def _user(self, group: Group, owner: str) -> User:
        name = "" if group.name in self._sharing else owner
        if name not in group.users:
            user = group.users[name] = User(name, score=self._score(0, 0.0, USER_SHARE))
            insort(group.order, (user.score, name))
        return group.users[name]

    def _rank_user(self, group: Group, user: User) -> None:
        score = self._score(user.processors, user.core_s, USER_SHARE)
        if score != user.score:
            del group.order[bisect_left(group.order, (user.score, user.name))]
            user.score = score
            insort(group.order, (score, user.name))

    def _rank_group(self, group: Group) -> None:
        score = self._score(group.processors, group.core_s, group.share)
        if score != group.score:
            del self._order[bisect_left(self._order, (group.score, group.name))]
            group.score = score
            insort(self._order, (score, group.name))
