"""Whose turn it is: groups by their shares, in a group its users, of a user's queues the most urgent, largest, oldest."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.rules.shares import JOB_SHARE, USER_SHARE, Score

Rank = tuple[float, int, str]  # score, when it was served last, name: the lowest comes first
Key = tuple[int, int, int, int]  # -priority, -size, job id, slot: the lowest is next


@dataclass(eq=False)
class User:
    """One owner's queues in one group, and what its jobs use; or all of a group whose members share (JobSharing)."""

    name: str
    mask: int = 0
    order: list[Key] = field(default_factory=list)
    processors: int = 0
    core_s: float = 0.0
    rank: Rank = (0.0, 0, "")

    def next(self, _mask: int, bits: bytes) -> Key | None:
        """The key of the queue that comes next, of those in the mask, which is also given as bytes."""
        for key in self.order:
            if bits[key[3] >> 3] >> (key[3] & 7) & 1:
                return key
        return None


@dataclass(eq=False)
class Group:
    """A group's users, in the order of their scores."""

    name: str
    share: float
    mask: int = 0
    users: dict[str, User] = field(default_factory=dict)
    order: list[Rank] = field(default_factory=list)
    processors: int = 0
    core_s: float = 0.0
    rank: Rank = (0.0, 0, "")

    def next(self, mask: int, bits: bytes) -> Key | None:
        """The key of the queue that comes next, of those in the mask, which is also given as bytes."""
        return _first(self.order, self.users, mask & self.mask, bits)


def _first(order: Iterable[Rank], parties: Mapping[str, User] | Mapping[str, Group], mask: int, bits: bytes) -> Key | None:
    """The next key of the first party that has one: the lowest score, and of equal ones whoever was not served for longest."""
    for _, _, name in order:
        if mask & parties[name].mask and (key := parties[name].next(mask, bits)) is not None:
            return key
    return None


class Turns:
    """Every queue in its place. One thread uses it."""

    def __init__(self, score: Score, shares: Mapping[str, float], sharing: Collection[str]) -> None:
        """Shares by group; the members of groups that are `sharing` are not told apart (DIRAC's property JobSharing)."""
        self._score, self._shares, self._sharing = score, shares, sharing
        self.groups: dict[str, Group] = {}
        self._order: list[Rank] = []
        self._served = 0
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
        # a byte of many is looked at in a moment, a bit of a large integer only after all those before it
        key = _first(self._order, self.groups, mask, mask.to_bytes(len(self._places) // 8 + 1, "little"))
        return None if key is None else key[3]

    def party(self, slot: int) -> tuple[str, str]:
        """Whose queue it is: group and user as they are served."""
        group, user, _ = self._places[slot]
        return group.name, user.name

    def use(self, slot: int, processors: int) -> None:
        """The owner of this queue uses so many processors more."""
        group, user, _ = self._places[slot]
        self._served += 1
        for order, party, share in ((group.order, user, USER_SHARE), (self._order, group, group.share)):
            party.processors += processors
            del order[bisect_left(order, party.rank)]
            party.rank = (self._score(party.processors, party.core_s, share), self._served, party.name)
            insort(order, party.rank)

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
                user.rank = (self._score(user.processors, user.core_s, USER_SHARE), user.rank[1], user.name)
            group.order = sorted(user.rank for user in group.users.values())
            group.rank = (self._score(group.processors, group.core_s, group.share), group.rank[1], group.name)
        self._order = sorted(group.rank for group in self.groups.values())

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            group = self.groups[name] = Group(name, self._shares.get(name, JOB_SHARE))
            group.rank = (self._score(0, 0.0, group.share), 0, name)
            insort(self._order, group.rank)
        return self.groups[name]

    def _user(self, group: Group, owner: str) -> User:
        name = "" if group.name in self._sharing else owner
        if name not in group.users:
            user = group.users[name] = User(name, rank=(self._score(0, 0.0, USER_SHARE), 0, name))
            insort(group.order, user.rank)
        return group.users[name]
