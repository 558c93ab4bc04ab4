"""The next waiting jobs of each task queue, read ahead. What is here is a hint: the claim decides.

An entry is (-priority, job id, job group): the lowest is next, so the highest priority first, then first come, first served.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import Any

Entry = tuple[int, int, str]

FIRST_AHEAD, MOST_AHEAD = 16, 256  # the longer a queue lasts, the more of it is read at once
MOST_KNOWN = 2_000
NOTHING_READ: Entry = (-1_000_000, 0, "")


class Heads:
    """Jobs by the slot of their queue, each slot's in order. One thread uses it."""

    def __init__(self) -> None:
        self.some = 0  # the slots that have jobs, or may have
        self.dry: set[int] = set()  # those of which no job is known, though there may be some
        self._entries: list[list[Entry]] = []
        self._read_to: list[Entry | None] = []  # beyond it there may be more; None when all are known
        self._ahead: list[int] = []

    def unread(self, slot: int) -> None:
        """Nothing is known of this queue but that it may have jobs."""
        while len(self._entries) <= slot:
            self._entries.append([])
            self._read_to.append(None)
            self._ahead.append(FIRST_AHEAD)
        self._entries[slot].clear()
        self._read_to[slot], self._ahead[slot] = NOTHING_READ, FIRST_AHEAD
        self._note(slot)

    def adopt(self, slot: int, others: Heads, other: int) -> None:
        """What others know of a slot of theirs is known of this one."""
        self._entries[slot], self._read_to[slot] = others._entries[other], others._read_to[other]
        self._ahead[slot] = others._ahead[other]
        self._note(slot)

    def put(self, slot: int, entry: Entry) -> bool:
        """This job waits; False when it was known, or will be read in its turn."""
        read_to = self._read_to[slot]
        fresh = (read_to is None or entry <= read_to) and self._insert(slot, entry)
        entries = self._entries[slot]
        if len(entries) > 2 * MOST_KNOWN:  # the last of them are read in their turn
            del entries[MOST_KNOWN:]
            self._read_to[slot] = entries[-1]
        self._note(slot)
        return fresh

    def keep(self, slot: int, rows: Iterable[Entry], limit: int) -> None:
        """These wait beyond what was known, in any order; fewer than `limit` are all there are."""
        read = sorted(rows)
        for entry in read:
            self._insert(slot, entry)
        self._read_to[slot] = read[-1] if len(read) >= limit else None
        self._ahead[slot] = min(MOST_AHEAD, 2 * limit)
        self._note(slot)

    def ahead(self, slot: int) -> int:
        """How many jobs are to be read next."""
        return self._ahead[slot]

    def next(self, slot: int, barred: Collection[str] = ()) -> Entry | None:
        """The next job that is known and of none of these groups of jobs."""
        if not barred:
            return self._entries[slot][0] if self._entries[slot] else None
        return next((entry for entry in self._entries[slot] if entry[2] not in barred), None)

    def bound(self, slot: int) -> Entry | None:
        """No job of this queue comes before it: its next job, or to where it was read; None when there is none."""
        return self._entries[slot][0] if self._entries[slot] else self._read_to[slot]

    def read_to(self, slot: int) -> Entry:
        """Beyond which entry the queue is to be read on."""
        return self._read_to[slot] or NOTHING_READ

    def has_more(self, slot: int) -> bool:
        """Whether the queue may have jobs that were not read; of a queue that is long enough, no further ones are looked for."""
        return self._read_to[slot] is not None and len(self._entries[slot]) < MOST_KNOWN

    def take(self, slot: int, entry: Entry) -> None:
        """This one is somebody's, or is not waiting any more."""
        entries = self._entries[slot]
        place = bisect_left(entries, entry)
        if place < len(entries) and entries[place] == entry:
            del entries[place]
        self._note(slot)

    def give_back(self, slot: int, entry: Entry) -> None:
        """This one was nobody's after all."""
        self._insert(slot, entry)
        self._note(slot)

    def _insert(self, slot: int, entry: Entry) -> bool:
        entries = self._entries[slot]
        place = bisect_left(entries, entry)
        if place < len(entries) and entries[place] == entry:
            return False
        entries.insert(place, entry)
        return True

    def _note(self, slot: int) -> None:
        known, more = bool(self._entries[slot]), self._read_to[slot] is not None
        bit = 1 << slot
        self.some = self.some | bit if known or more else self.some & ~bit
        if more and not known:
            self.dry.add(slot)
        else:
            self.dry.discard(slot)


def entry_of(about: Any) -> Entry:
    """The entry of a row or an event's data that names priority, job_id and job_group."""
    return (-about["priority"], about["job_id"], about["job_group"])
