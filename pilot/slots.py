"""What a pilot has to give, and what each of its jobs has of it: together never more than there is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.rules.matching import requirements

MOST_AT_ONCE = 200  # attempts that one beat can name


@dataclass(frozen=True)
class Share:
    """What one job has: processors and GPUs by their numbers from 0, memory by its size."""

    processors: tuple[int, ...]
    memory_mb: int
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Free:
    """What nobody has."""

    processors: int
    memory_mb: int
    gpus: int
    whole: bool

    def exceeds(self, other: Free) -> bool:
        """Whether a job might fit here that does not fit there."""
        more = self.processors > other.processors or self.memory_mb > other.memory_mb or self.gpus > other.gpus
        return more or self.whole > other.whole


class Slots:
    """Processors, memory and GPUs of which jobs take shares. One thread uses it."""

    def __init__(self, processors: int, memory_mb: int, gpus: int = 0, *, pool: bool = True) -> None:
        """Without a pool, one job at a time has all the memory and all the GPUs. Without memory, none is counted."""
        self._all = Share(tuple(range(max(1, processors))), memory_mb, tuple(range(gpus)))
        self._pool = pool
        self._held: dict[Hashable, Share] = {}

    def free(self) -> Free:
        """What is left now."""
        processors, gpus = self._unheld()
        return Free(len(processors), self._memory_left(), len(gpus), not self._held)

    def has_room(self) -> bool:
        """Whether the smallest job that says nothing of memory has its fair share of it here."""
        if not self._held:
            return True
        free = self.free()
        return self._pool and len(self._held) < MOST_AT_ONCE and free.processors > 0 and free.memory_mb >= self._fair_mb(1)

    def take(self, key: Hashable, description: Mapping[str, Any]) -> Share | None:
        """The job's share, its own until give_back; None when it does not fit now. What never fits gets all that there is."""
        share = self._share(requirements(description, "", "", ""), int(description.get("MaxRAM") or 0))
        if share is None and not self._held:
            share = self._all
        if share is not None:
            self._held[key] = share
        return share

    def give_back(self, key: Hashable) -> None:
        """What this one had is free; a second time changes nothing."""
        self._held.pop(key, None)

    def _share(self, needs: Mapping[str, Any], most_mb: int) -> Share | None:
        free_mb, (processors, gpus) = self._memory_left(), self._unheld()
        if self._held and (needs["WholeNode"] or not self._pool):
            return None
        if needs["WholeNode"]:
            return self._all
        enough = len(processors) >= needs["MinNumberOfProcessors"] and len(gpus) >= needs["NumberOfGPUs"]
        if not enough or free_mb < needs["MinRAM"]:
            return None
        given = processors[: needs["MaxNumberOfProcessors"]]
        if not self._pool:
            return Share(given, free_mb, gpus)
        wanted_mb = max(needs["MinRAM"], most_mb or self._fair_mb(len(given)))
        return Share(given, min(free_mb, wanted_mb), gpus[: needs["NumberOfGPUs"]])

    def _fair_mb(self, processors: int) -> int:
        return self._all.memory_mb * processors // len(self._all.processors)

    def _memory_left(self) -> int:
        return self._all.memory_mb - sum(share.memory_mb for share in self._held.values())

    def _unheld(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        processors = {number for share in self._held.values() for number in share.processors}
        gpus = {number for share in self._held.values() for number in share.gpus}
        return (
            tuple(number for number in self._all.processors if number not in processors),
            tuple(number for number in self._all.gpus if number not in gpus),
        )
