"""The pilot as its commands see it: its configuration, what it found out, and how it speaks."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar

from pilot.config import Config
from pilot.heart import Heart
from pilot.isolation import Isolation
from pilot.orders import Disobeyed, Orders
from pilot.remaining import Remaining
from pilot.slots import Share
from pilot.wire.envelope import now
from pilot.wire.lines import Stream
from pilot.wire.link import Link
from schemas.rules.log_levels import INFO, LEVELS, WARNING
from schemas.rules.secrets import scrub

PLANNED, BUG, WRONG_CONFIG, UNFIT, UNREACHABLE, REFUSED, UNSAID, EVICTED = 0, 1, 2, 3, 4, 5, 6, 7


class Stop(Exception):
    """The pilot ends here, with this reason and this exit code."""

    def __init__(self, reason: str, code: int = UNFIT) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


@dataclass(frozen=True)
class Job:
    """One attempt of one job, as the matcher handed it over, with its share of the pilot once it has one."""

    TOLD: ClassVar = ("job_id", "attempt", "description", "owner", "vo", "input", "least_isolation")

    job_id: int
    attempt: int
    description: dict[str, Any]
    owner: str = ""
    vo: str = ""
    input: dict[str, Any] | None = None
    share: Share | None = None
    least_isolation: str = "none"

    @property
    def processors(self) -> int:
        """How many it may use."""
        return len(self.share.processors) if self.share else max(1, int(self.description.get("NumberOfProcessors") or 1))

    @property
    def label(self) -> dict[str, Any]:
        """The two numbers that name this attempt."""
        return {"job_id": self.job_id, "attempt": self.attempt}


class Pilot:
    """One pilot from its first command to its last word."""

    def __init__(self, config: Config, link: Link | None, home: Path) -> None:
        self.config = config
        self.pilot_id = config.name
        self.link = link
        self.home = home
        self.orders = Orders()
        self.heart = Heart(self, self.orders.changed)
        self.orders.others |= {"peek": lambda _order: self.heart.show(), "log_level": self._set_level}
        self.resource: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.tags: set[str] = set()
        self.remaining = Remaining()
        self.isolation = Isolation()
        self.lock = threading.Lock()
        self.running: dict[tuple[int, int], Job] = {}  # what runs now, by job and attempt; under the lock
        self.began = time.monotonic()
        self._telling = threading.Lock()
        self._number = 0
        self._left = False

    def home_of(self, job: Job) -> Path:
        """Where everything of this attempt is while it runs."""
        return self.home / f"job-{job.job_id}-{job.attempt}"

    def say(self, name: str, data: dict[str, Any]) -> None:
        """The event is said: on disk at once, with the services as soon as the broker is there."""
        if self.link is not None:
            self.link.record(name, data)

    def phase(self, phase: str, *, job: Job | None = None, seconds: float | None = None, **details: Any) -> None:
        """One step of this pilot's life is said, numbered 1, 2, 3…, so that a missing one is seen."""
        data: dict[str, Any] = {"pilot_id": self.pilot_id, "site": self.config.site, "phase": phase}
        if details:
            data["details"] = details
        if job is not None:
            data.update(job.label)
        if seconds is not None:
            data["seconds"] = round(max(0.0, seconds), 3)
        with self._telling:  # several jobs may say something at once, and what is said is numbered in its order
            self._number += 1
            self.say("pilot.reported.v1", {**data, "number": self._number})
        self._print(" ".join([phase, *(f"{name}={_shown(value)}" for name, value in details.items())]))

    def leave(self, reason: str, **details: Any) -> None:
        """The pilot's last word, and why; said once."""
        if not self._left:
            self._left = True
            self.phase("leaving", seconds=time.monotonic() - self.began, reason=reason, **details)

    @property
    def has_left(self) -> bool:
        """Whether its last word is said."""
        return self._left

    @property
    def refused(self) -> str:
        """Why the broker lets this pilot in no more; empty while it does."""
        return self.link.refused if self.link is not None else ""

    def seconds_left(self) -> float | None:
        """What is left of the slot, by its configuration, else by its batch system; None when it has no known end."""
        if not self.config.cpu_time_s:
            return self.remaining.seconds()
        return max(0.0, self.config.cpu_time_s - (time.monotonic() - self.began))

    def complain(self, text: str) -> None:
        """A trouble of the pilot itself: a warning in its log, and on standard error, for the line to the broker may fail."""
        self.log(text, level=WARNING)

    def log(self, text: str, job: Job | None = None, level: str = INFO) -> None:
        """A line in the pilot's own words: in its log, in the job's log when it is about one, and on standard error."""
        self._print(text)
        if self.link is not None:
            self.link.line(Stream(job.job_id, job.attempt, "pilot") if job else Stream(None, None, "pilot"), text, level)

    def ask(self, name: str, data: dict[str, Any], again_after_s: float) -> Future[dict[str, Any]]:
        """The reply, once there is one. Raises Stop for a pilot without a broker."""
        if self.link is None:
            raise Stop(f"{name} needs a broker: give --url or set PILOTBUS_PILOT_AMQP_URL", WRONG_CONFIG)
        return self.link.ask(name, data, again_after_s)

    def _set_level(self, order: dict[str, Any]) -> None:
        level = order.get("level")
        if self.link is None or level not in LEVELS:
            raise Disobeyed(f"there is no level {level!r}")
        self.link.outbox.lines.keep_from(str(level))

    def unwanted(self, job: Job) -> str:
        """Why this attempt is to stop now: kill, lease, leave, or nothing."""
        if self.orders.killed(job.job_id, job.attempt):
            return "kill"
        if self.heart.lost(job.job_id, job.attempt):
            return "lease"
        return "leave" if self.orders.leave_at_once else ""

    def answer(self, name: str, data: dict[str, Any], seconds: float, give_up: Callable[[], bool]) -> dict[str, Any] | None:
        """The reply to this request; None when the time is up or it is wanted no more. Raises Refused."""
        future = self.ask(name, data, min(30.0, seconds))
        future.add_done_callback(self.orders.changed)
        until = time.monotonic() + seconds
        while not future.done() and time.monotonic() < until and not give_up():
            self.orders.wait(until - time.monotonic())
        if future.done() or not future.cancel():
            return future.result()
        return None

    def _print(self, text: str) -> None:
        print(f"{now()} {scrub(text)}", file=sys.stderr, flush=True)  # noqa: T201 - the batch system keeps this for its owner


def _shown(value: Any) -> str:
    """A detail for people."""
    return value if isinstance(value, str) and value and " " not in value else json.dumps(value)
