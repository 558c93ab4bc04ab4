"""Jobs as a user's program sees them: how they are, when they are over, and how they are ended."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bus.client import Client
from bus.errors import Refused, Unavailable
from bus.event import Event

FINAL = frozenset({"Done", "Failed", "Killed", "Deleted"})
FEW = 20
PAGE = 100
LOOK_AGAIN_S = 10.0  # of others' jobs, which one may see, no event comes here
LOOK_AT = 1000  # jobs at a time, when it is looked again
PATIENCE_S = 300.0

Job = dict[str, Any]


def pages(bus: Client, ids: Sequence[int], **asked: Any) -> Iterator[list[Job]]:
    """The jobs, a page at a time, each id once; as many pages as that takes. Those that one may not see are left out."""
    for start in range(0, len(ids), PAGE):
        chosen, after, more = list(ids[start : start + PAGE]), 0, True
        while more:
            page = bus.ask("job.query.v1", {"after": after, "job_ids": chosen, **asked})
            if page["jobs"]:
                yield page["jobs"]
                after = page["jobs"][-1]["job_id"]
            more = bool(page["more"]) and bool(page["jobs"])


def all_of(bus: Client, ids: Sequence[int], **asked: Any) -> Iterator[Job]:
    """Each of the jobs. Raises Refused, naming some, when one is nobody's or another's; those before it have come."""
    for start in range(0, len(ids), PAGE):
        chosen = ids[start : start + PAGE]
        missing = set(chosen)
        for page in pages(bus, chosen, **asked):
            missing.difference_update(job["job_id"] for job in page)
            yield from page
        if missing:
            raise Refused("not_found", absent(sorted(missing)))


def absent(missing: Sequence[int]) -> str:
    """The sentence for jobs that are not there."""
    return f"you have no job {', '.join(map(str, missing[:5]))}{' …' if len(missing) > 5 else ''}"


def counts(bus: Client, ids: Sequence[int]) -> Counter[str]:
    """How many of the jobs are in each state."""
    return Counter(job["state"] for job in all_of(bus, ids))


def over(event: Event) -> tuple[int, int] | None:
    """The first and the last of the jobs that may be over by this event, or None."""
    about, _, rest = event.type.partition(".")
    if about not in {"job", "bulk"} or rest.partition(".")[0].capitalize() not in FINAL:
        return None
    if about == "job":
        return (int(event.subject), int(event.subject)) if event.subject.isdecimal() else None
    data = event.data if isinstance(event.data, dict) else {}
    return data.get("first_job_id", 0), data.get("last_job_id", 2**63)


class Watch:
    """Which of some jobs are not over; events say so, and where they can not, the bus is asked. A lost broker is waited for."""

    def __init__(self, bus: Client, only: Sequence[int] = ()) -> None:
        """Follows one's own jobs; `only` some, when they are few and no others will be added."""
        self._bus, self.left, self._over = bus, set[int](), set[int]()
        finals = [state.lower() for state in sorted(FINAL)]
        alone = only if len(only) <= FEW else ()
        bus.follow_own(*(f"job.*.v1.{n}" for n in alone) if alone else (f"job.{state}.#" for state in finals))
        bus.follow_own(*(f"bulk.{state}.#" for state in finals))
        self._lost, self._looked_at, self._cursor = False, time.monotonic(), 0

    def add(self, ids: Iterable[int], *, missing: bool = False) -> None:
        """These are watched too. Raises Refused, naming some, when one is not there, or with missing takes it for over."""
        chosen = sorted(ids)
        self.left.update(chosen)
        # it was followed before: what ended until now is seen here
        if missing:
            self._look(chosen)
            return
        for job in all_of(self._bus, chosen):
            if job["state"] in FINAL:
                self._end(job["job_id"])

    def lost(self) -> None:
        """The next step connects anew and asks for all."""
        self._lost = True

    def over(self) -> set[int]:
        """Those that are over since this was last asked."""
        told, self._over = self._over, set()
        return told

    def _end(self, job_id: int) -> None:
        if job_id in self.left:
            self.left.discard(job_id)
            self._over.add(job_id)

    def step(self, within_s: float, patience_s: float) -> None:
        """What has come is taken; waits at most so long for it, and with patience for a bus that is lost.

        Raises Unavailable when that was in vain.
        """
        try:
            if self._lost:
                self._bus.reconnect(patience_s)
                self._look(sorted(self.left))
                self._lost = False
            if time.monotonic() > self._looked_at + LOOK_AGAIN_S:
                self._look_again()
            for event in self._bus.events(within_s):
                self._hear(event)
        except Unavailable:
            if self._lost:
                raise
            self._lost = True

    def _hear(self, event: Event) -> None:
        told = over(event)
        if told is None:
            return
        if event.type.startswith("job."):
            self._end(told[0])
        else:  # of a range some may have gone another way
            self._look([n for n in sorted(self.left) if told[0] <= n <= told[1]])

    def _look_again(self) -> None:
        """Some of what is left, in turn, however much that is."""
        waiting = sorted(self.left)
        ahead = [n for n in waiting if n > self._cursor] or waiting
        chosen = list(itertools.islice(ahead, LOOK_AT))
        self._look(chosen)
        self._cursor = chosen[-1] if chosen else 0
        self._looked_at = time.monotonic()

    def _look(self, ids: Sequence[int]) -> None:
        """What is over, or not there any more, is taken for over."""
        for start in range(0, len(ids), PAGE):
            chosen = ids[start : start + PAGE]
            goes_on = {job["job_id"] for page in pages(self._bus, chosen) for job in page if job["state"] not in FINAL}
            for job_id in chosen:
                if job_id not in goes_on:
                    self._end(job_id)


def wait(bus: Client, ids: Iterable[int], timeout_s: float, told: Callable[[int], None] = lambda _left: None) -> None:
    """All jobs are over. Raises TimeoutError with how many are not; `told` hears how many are left."""
    wanted, until = sorted(set(ids)), time.monotonic() + timeout_s
    watch = _watching(bus, wanted, until)
    while watch.left:
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"{len(watch.left)} of {len(wanted)} jobs are not over after {timeout_s:.0f} s")
        watch.step(min(1.0, left_s), min(PATIENCE_S, left_s))
        told(len(watch.left))


def _watching(bus: Client, wanted: Sequence[int], until: float) -> Watch:
    """They are watched; a connection that is lost meanwhile is made anew, and where then nobody answers either it is told."""
    try:
        return _watch(bus, wanted)
    except Unavailable:
        bus.reconnect(max(0.0, min(PATIENCE_S, until - time.monotonic())))
        return _watch(bus, wanted)


def _watch(bus: Client, wanted: Sequence[int]) -> Watch:
    watch = Watch(bus, wanted)
    watch.add(wanted)
    return watch
