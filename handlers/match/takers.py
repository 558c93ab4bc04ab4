"""Which requests that wait could take a job of a task queue, without asking each of them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from itertools import islice

from handlers.match.parked import Parked, Profile, Tightness

FEW_QUEUES = 8
MOST_KNOWN = 500


class Takers:
    """The profiles that serve a queue, of the queues that had a job lately. One thread uses it."""

    def __init__(self, parked: Parked, serves: Callable[[Profile], int]) -> None:
        self._parked, self._serves = parked, serves
        self._known: list[Profile] = parked.known
        self._of: dict[int, tuple[int, list[Tightness]]] = {}  # by slot, of the first so many known profiles

    def forget(self) -> None:
        """Slots mean other queues from now on, or profiles are others."""
        self._known = self._parked.known
        self._of.clear()

    def profiles(self, mask: int) -> Iterator[Profile]:
        """Those with requests that wait, the smallest resource first; when queues are few, only such as serve one of them."""
        if mask.bit_count() > FEW_QUEUES:
            return self._parked.waiting(self._parked.order)
        if self._parked.known is not self._known:
            self.forget()
        takers = []
        while mask:
            slot = (mask & -mask).bit_length() - 1
            mask &= mask - 1
            takers.append(self._takers(slot))
        return self._parked.waiting(takers[0] if len(takers) == 1 else sorted({one for some in takers for one in some}))

    def _takers(self, slot: int) -> list[Tightness]:
        if slot not in self._of and len(self._of) >= MOST_KNOWN:
            self._of.clear()
        seen, takers = self._of.get(slot, (0, []))
        for profile in islice(self._known, seen, None):
            if self._serves(profile) >> slot & 1:
                insort(takers, profile.tightness)
        self._of[slot] = len(self._known), takers
        return takers
