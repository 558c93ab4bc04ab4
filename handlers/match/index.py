"""Task queues by what they need: of all queues, those that a resource can serve, in a few bit operations.

Every queue has a slot, and a set of queues is a Python integer with one bit per slot.
What it says is what `schemas.rules.matching.unmet` says of each queue alone; tests hold them together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.rules.matching import (
    BANNED_FIELDS,
    FIELDS,
    LEAST,
    OWNERSHIP,
    PROCESSORS_OF_TAG,
    WHOLE_NODE,
    is_any_word,
    missing_tags,
    number,
    several,
)


class Values:
    """Which queues name which value of a field, and which name any at all."""

    __slots__ = ("of", "some")

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.some = 0

    def add(self, values: list[str], bit: int) -> None:
        """The queue of this bit names these."""
        for value in values:
            self.of[value] = self.of.get(value, 0) | bit
            self.some |= bit

    def naming(self, values: Iterable[str]) -> int:
        """The queues that name at least one of these."""
        mask = 0
        for value in values:
            mask |= self.of.get(value, 0)
        return mask


class Steps:
    """Which queues need at least how much of something."""

    __slots__ = ("_above", "_exactly", "_steps")

    def __init__(self) -> None:
        self._exactly: dict[float, int] = {}
        self._steps: list[float] = []
        self._above: list[int] = []

    def add(self, need: float, bit: int) -> None:
        """The queue of this bit needs so much."""
        if need not in self._exactly:
            self._steps.clear()  # made anew when it is asked for
        self._exactly[need] = self._exactly.get(need, 0) | bit
        self._above.clear()

    def above(self, offered: float) -> int:
        """The queues that need more than is offered."""
        if not self._above:
            self._steps = sorted(self._exactly)
            mask = 0
            self._above = [0]
            for step in reversed(self._steps):
                mask |= self._exactly[step]
                self._above.append(mask)
            self._above.reverse()
        return self._above[bisect_right(self._steps, offered)]


class Index:
    """All queues that may have a waiting job. One thread uses it."""

    def __init__(self) -> None:
        self.queue_ids: list[int] = []
        self.needs: list[Mapping[str, Any]] = []
        self.slots: dict[int, int] = {}
        self.all = 0
        self._values = {name: Values() for name in ("VO", "OwnerGroup", "Owner", "BannedSites", "Tags")}
        self._values |= {fields: Values() for _, fields in FIELDS}
        self._least = {need: Steps() for _, need in LEAST}

    def __len__(self) -> int:
        return len(self.queue_ids)

    def add(self, queue_id: int, needs: Mapping[str, Any]) -> int:
        """The queue's slot, from now on the same."""
        if queue_id in self.slots:
            return self.slots[queue_id]
        slot = self.slots[queue_id] = len(self.queue_ids)
        self.queue_ids.append(queue_id)
        self.needs.append(needs)
        bit = 1 << slot
        self.all |= bit
        for name, values in self._values.items():
            said = needs[name]
            values.add(said if isinstance(said, list) else [said], bit)
        for name, steps in self._least.items():
            steps.add(needs.get(name, 0), bit)
        return slot

    def naming(self, field: str, values: Iterable[str]) -> int:
        """The queues that name one of these values: of VO, OwnerGroup, Owner, Sites, JobTypes, Tags …"""
        return self._values[field].naming(values)

    def serves(self, resource: Mapping[str, Any]) -> int:
        """The queues whose needs the resource meets; how well payloads are kept apart is a policy, and not among them."""
        mask = self.all
        for _, failing in self.failing(resource):
            mask &= ~failing
        return mask

    def failing(self, resource: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
        """Each requirement that some queues fail, by the name that `unmet` gives it, with those queues."""
        for field, need in LEAST:
            if failing := self._least[need].above(number(resource, field)):
                yield field, failing
        for field, need in OWNERSHIP:
            told = need == "VO" or resource.get(field) is not None
            if told and (failing := self.all & ~self._values[need].naming(several(resource, field))):
                yield need, failing
        for field, fields in FIELDS:
            offered = several(resource, field)
            if offered and not is_any_word(offered) and (failing := self._unwanted(fields, offered)):
                yield field, failing
        sites = several(resource, "Site")
        if not is_any_word(sites) and (failing := self._values["BannedSites"].naming(sites)):
            yield "BannedSites", failing
        yield from self._tags(resource)
        yield from self._refused(resource)

    def _unwanted(self, fields: str, offered: list[str]) -> int:
        values = self._values[fields]
        return values.some & ~values.naming(offered)

    def _tags(self, resource: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
        found: dict[str, int] = {}
        tags = self._values["Tags"].of
        for tag in missing_tags(resource, list(tags)):
            name = "NumberOfProcessors" if tag in PROCESSORS_OF_TAG else "WholeNode" if tag == WHOLE_NODE else "Tag"
            found[name] = found.get(name, 0) | tags[tag]
        yield from found.items()

    def _refused(self, resource: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
        required = several(resource, "RequiredTag")
        if required and not is_any_word(required):
            able = not missing_tags(resource, required)
            mask = self.all if able else 0
            for tag in required:
                mask &= self._values["Tags"].of.get(tag, 0)
            if failing := self.all & ~mask:
                yield "RequiredTag", failing
        for field, fields in BANNED_FIELDS:
            banned = several(resource, field)
            if banned and not is_any_word(banned) and (failing := self._values[fields].naming(banned)):
                yield field, failing
