"""The pilot's beat: it says that it lives and what its jobs use, and so keeps their leases; whose lease is over must die."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Protocol

from pilot.orders import Disobeyed
from pilot.wire.envelope import Refused
from pilot.wire.lines import LAST_LINES, LONGEST_TAIL

FIRST_BEAT_S = 60.0
_MOST_TOLD_BYTES = 40_000
_AGAIN_S = 10.0
_REFUSED_AGAIN_S = 5.0
_SHOWN_S = 15.0
# its own: beats must not fall together because a program seeded Python's
_CHANCE = random.Random()


class Beating(Protocol):
    """What a heart needs of its pilot."""

    pilot_id: str
    home: Path

    def ask(self, name: str, data: dict[str, Any], again_after_s: float) -> Future[dict[str, Any]]:
        """A future of the reply."""

    def complain(self, text: str) -> None:
        """A trouble of the pilot itself."""


class Lease:
    """One attempt's lease; the payload asks it whether it may go on."""

    def __init__(self, job_id: int, attempt: int) -> None:
        self.key = (job_id, attempt)
        self.measure: Callable[[], dict[str, Any]] = dict
        self._until_s: float | None = None
        self._lost = False

    @property
    def granted(self) -> bool:
        """Whether it was ever given."""
        return self._until_s is not None

    @property
    def over(self) -> bool:
        """Whether the attempt may be another pilot's by now."""
        return self._lost or (self._until_s is not None and clock_s() >= self._until_s)

    def left_s(self) -> float:
        """How long it holds; for ever while it was not given yet."""
        return float("inf") if self._until_s is None else self._until_s - clock_s()

    def give(self, until_s: float) -> None:
        """It holds until then; what is over stays over."""
        if not self.over:
            self._until_s = max(until_s, self._until_s or 0.0)

    def lose(self) -> None:
        """It is over, for good."""
        self._lost = True


class Heart:
    """Beats from start() to stop(); every thread may hold a lease."""

    def __init__(self, pilot: Beating, changed: Callable[[], None]) -> None:
        """`changed` is called whenever a lease may have been given or be over."""
        self._pilot = pilot
        self._changed = changed
        self._news = threading.Condition()
        self._leases: dict[tuple[int, int], Lease] = {}
        self._wanted = False
        self._beat_s = FIRST_BEAT_S
        self._number = 0
        self._answered = 0
        self._started = False
        self._stopped = False

    def start(self) -> None:
        """The first beat is said."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._live, name="heart", daemon=True).start()

    def stop(self) -> None:
        """No further beat is said."""
        self._stopped = True
        self.soon()

    @contextlib.contextmanager
    def hold(self, job_id: int, attempt: int) -> Iterator[Lease]:
        """The attempt is among what is asked for while the block lasts, from now on."""
        lease = Lease(job_id, attempt)
        with self._news:
            self._leases[lease.key] = lease
        self.start()
        self.soon()
        try:
            yield lease
        finally:
            with self._news:
                self._leases.pop(lease.key, None)
            self.soon()  # a beat that is still on its way would get a lease for what nobody runs any more

    def soon(self) -> None:
        """A beat is said now, and not when its time comes."""
        with self._news:
            self._wanted = True
            self._news.notify_all()

    def show(self) -> None:
        """What every attempt uses is with the services. Raises Disobeyed."""
        with self._news:
            number = self._number
        self.soon()
        with self._news:
            told = self._news.wait_for(lambda: self._answered > number, _SHOWN_S)
        if not told:
            raise Disobeyed("the services do not answer")

    def lost(self, job_id: int, attempt: int) -> bool:
        """Whether this attempt must not go on."""
        lease = self._leases.get((job_id, attempt))
        return lease is not None and lease.over

    def decided(self, lease: Lease, patience_s: float) -> bool:
        """Whether the lease is given; waits for that."""
        with self._news:
            self._news.wait_for(lambda: lease.granted or lease.over, patience_s)
        return lease.granted and not lease.over

    def _live(self) -> None:
        next_s = 0.0
        while True:
            self._sleep_until(next_s)
            if self._stopped:
                return
            try:
                pause_s = self._beat()
            except Exception as bug:  # whatever it is, jobs must not die of a heart that has stopped
                self._pilot.complain(f"a beat failed: {type(bug).__name__}: {bug}")
                pause_s = _REFUSED_AGAIN_S
            next_s = clock_s() + pause_s

    def _sleep_until(self, moment_s: float) -> None:
        """Until then, or until a beat is wanted; whoever's lease ends meanwhile is told so at once."""
        with self._news:
            while not self._wanted and clock_s() < moment_s:
                soonest_s = min((lease.left_s() for lease in self._leases.values() if not lease.over), default=float("inf"))
                self._news.wait(max(0.01, min(moment_s - clock_s(), soonest_s)))
                self._tell_who_is_over()
            self._wanted = False

    def _tell_who_is_over(self) -> None:
        if any(lease.over for lease in self._leases.values()):
            self._changed()

    def _beat(self) -> float:
        """After how many seconds the next one is due."""
        with self._news:
            held = [lease for lease in self._leases.values() if not lease.over]
        self._number += 1
        sent_s = clock_s()
        request = {"pilot_id": self._pilot.pilot_id, "number": self._number, **measure(self._pilot.home), "jobs": _told(held)}
        reply = self._pilot.ask("pilot.beat.v1", request, _AGAIN_S)
        reply.add_done_callback(self._heard)
        with self._news:
            while not (reply.done() or self._wanted) and clock_s() < sent_s + self._beat_s:
                self._news.wait(max(0.01, min(1.0, sent_s + self._beat_s - clock_s())))
                self._tell_who_is_over()
        if not reply.done() and reply.cancel():
            return 0.0
        try:
            self._take(held, sent_s, reply.result())
        except Refused as refusal:
            self._pilot.complain(f"no lease is renewed: {refusal.reason}")
            return _REFUSED_AGAIN_S
        return max(0.0, sent_s + self._beat_s * _CHANCE.uniform(0.9, 1.1) - clock_s())

    def _heard(self, _reply: object) -> None:
        with self._news:
            self._news.notify_all()

    def _take(self, asked: list[Lease], sent_s: float, reply: dict[str, Any]) -> None:
        given = {(lease["job_id"], lease["attempt"]): lease["lease_s"] for lease in reply["leases"]}
        with self._news:
            self._beat_s, self._answered = float(reply["beat_s"]), self._number
            for lease in asked:
                if lease.key in given:
                    lease.give(sent_s + given[lease.key])
                else:
                    lease.lose()
            self._news.notify_all()
        self._changed()


def clock_s() -> float:
    """A clock that nobody sets and that goes on while the node sleeps, so that a lease ends then too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def measure(place: Path) -> dict[str, Any]:
    """The node, as far as it can be read."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        found["load"] = round(os.getloadavg()[0], 2)
    with contextlib.suppress(OSError, ValueError, IndexError):
        memory = Path("/proc/meminfo").read_text(encoding="ascii").split()
        found["free_memory_mb"] = int(memory[memory.index("MemAvailable:") + 1]) >> 10
    with contextlib.suppress(OSError):
        disk = os.statvfs(place)
        found["free_disk_mb"] = disk.f_bavail * disk.f_frsize >> 20
    return found


def _told(leases: list[Lease]) -> list[dict[str, Any]]:
    """Each attempt with what it uses; fewer lines of each when they are many."""
    used = [(lease.key, _measured(lease)) for lease in leases]
    for most in (LAST_LINES, LAST_LINES // 4, 1, 0):
        jobs = [_one(key, measures, most) for key, measures in used]
        if len(json.dumps(jobs)) < _MOST_TOLD_BYTES:
            break
    return jobs


def _measured(lease: Lease) -> dict[str, Any]:
    try:
        return lease.measure()
    except Exception:  # whatever a payload has done to its folders, its lease and the others' go on
        return {}


def _one(key: tuple[int, int], measures: dict[str, Any], most_lines: int) -> dict[str, Any]:
    job = {"job_id": key[0], "attempt": key[1], **{name: value for name, value in measures.items() if name != "last_lines"}}
    lines = [line[:LONGEST_TAIL] for line in measures.get("last_lines", ())][-most_lines:] if most_lines else []
    return {**job, "last_lines": lines} if lines else job
