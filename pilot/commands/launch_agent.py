"""The loop: ask for a job for what is free, run it, ask again; until there is a reason to leave and nothing runs."""

from __future__ import annotations

import time
import uuid
from typing import Any

from pilot.asking import Asking
from pilot.command import EVICTED, REFUSED, UNFIT, Job, Pilot, Stop
from pilot.config import Config
from pilot.crew import MOST_FAILURES, Crew
from pilot.slots import Free, Slots
from pilot.wire.envelope import Refused
from pilot.wire.outbox import backoff
from schemas.rules.matching import WHOLE_NODE

SAYS = ("pilot.reported.v1", "pilot.obeyed.v1")
ASKS = ("match.request.v1", "match.withdraw.v1", "pilot.listen.v1", "pilot.beat.v1")
IDLE = "idle"
WAIT_S = 300
_PATIENCE_S = 5.0
_AT_ONCE_S = 1.0
_SHORTEST_JOB_S = 100
_LOOK_S = 1.0


def judge(config: Config, *, idle_s: float, done: int, left_s: float | None, leaving: str) -> str:
    """Why to take no more jobs, or nothing."""
    if leaving:
        return leaving
    if config.max_jobs and done >= config.max_jobs:
        return "max-jobs"
    if left_s is not None and left_s < _SHORTEST_JOB_S:
        return "no time left"
    return IDLE if idle_s >= config.idle_limit_s else ""


def run(pilot: Pilot) -> None:
    pilot.orders.listen(pilot, pilot.log)
    pilot.heart.start()
    agent = Agent(pilot)
    try:
        reason = agent.work()
    except BaseException:
        pilot.orders.end("the pilot failed")
        agent.finish()
        raise
    if agent.code:
        raise Stop(reason, agent.code)
    wanting = {"why": agent.why} if reason == IDLE and agent.why else {}
    pilot.leave(reason, jobs=agent.taken, **wanting)
    if pilot.orders.leave_at_once:
        raise Stop(pilot.orders.why, EVICTED)


class Agent:
    """One pilot's loop: at most one request is out, for what was free when it was asked."""

    def __init__(self, pilot: Pilot) -> None:
        offered = pilot.resource
        numbers = (offered.get(name, least) for name, least in (("NumberOfProcessors", 1), ("MaxRAM", 0), ("NumberOfGPUs", 0)))
        self.taken = 0
        self.code = 0
        self.why = ""  # why the last request brought no job
        self._pilot = pilot
        self._slots = Slots(*numbers, pool=pilot.config.pool)
        self._crew = Crew(pilot, self._slots)
        self._asking: Asking | None = None
        self._job: Job | None = None  # given, and waiting for room
        self._since = self._asked_at = time.monotonic()
        self._is_told = False
        self._refusals = 0
        self._again_at = 0.0
        self._refused = ""

    def work(self) -> str:
        """Jobs are run until there is a reason to leave, which this gives, and none runs any more."""
        while True:
            if self._crew.reap():
                self._since, self._is_told = time.monotonic(), False
            self._hear()
            self._start()
            reason = self._reason()
            if not reason:
                self._offer()
            elif self._has_let_go() and not (self._crew or self._job):
                return reason
            self._pilot.orders.wait(_LOOK_S)

    def finish(self) -> None:
        """Every job that runs has come to its end."""
        while self._crew:
            self._crew.reap()
            self._pilot.orders.wait(_LOOK_S)

    def _reason(self) -> str:
        """Why to take no more jobs, or nothing; with the code with which to leave."""
        refused = self._pilot.refused or self._refused
        self.code = REFUSED if refused else UNFIT if self._crew.is_unfit else 0
        if self.code:
            return refused or f"{MOST_FAILURES} jobs in a row failed because of the pilot or its node"
        is_idle = not (self._crew or self._job)
        idle_s = time.monotonic() - self._since if is_idle else 0.0
        leaving, left_s = self._pilot.orders.leaving, self._pilot.seconds_left()
        return judge(self._pilot.config, idle_s=idle_s, done=self.taken, left_s=left_s, leaving=leaving)

    def _offer(self) -> None:
        """What is free is asked a job for, by one request; an older one that offers less is taken back first."""
        free = self._slots.free()
        if self._job or not self._slots.has_room() or time.monotonic() < self._again_at:
            return
        if self._asking is None:
            self._tell(free)
            self._asking = Asking(self._pilot, request_of(self._pilot, self._wait_s(), free), free)
        elif free.exceeds(self._asking.free):
            self._asking.withdraw()

    def _tell(self, free: Free) -> None:
        if not self._is_told:
            self._is_told, self._asked_at = True, time.monotonic()
            self._pilot.phase("asking", running=len(self._crew), processors=free.processors, memory_mb=free.memory_mb)

    def _wait_s(self) -> int:
        longest_s = float(WAIT_S)
        if not self._crew:
            longest_s = min(longest_s, self._pilot.config.idle_limit_s - (time.monotonic() - self._since))
        left_s = self._pilot.seconds_left()
        if left_s is not None:
            longest_s = min(longest_s, left_s / 10)  # what it waits is offered to no job
        return int(max(1, longest_s))

    def _hear(self) -> None:
        """The job that an answer has brought is this pilot's."""
        if self._asking is None or not self._asking.is_over:
            return
        asking, self._asking = self._asking, None
        try:
            job = asking.end()
            self._refusals, self.why = 0, "" if job else asking.why or self.why
        except Refused as refusal:
            self._put_off(refusal)
            return
        self._job = job

    def _put_off(self, refusal: Refused) -> None:
        if refusal.code not in ("unavailable", "conflict"):
            self._refused = f"the services refuse this pilot: {refusal.reason}"
            return
        self._pilot.log(f"no match for now: {refusal.reason}")
        self._again_at = time.monotonic() + 1 + backoff(self._refusals + 3)
        self._refusals += 1

    def _start(self) -> None:
        """The job that was given runs, as soon as there is room for it."""
        if self._job and self._pilot.orders.leave_at_once:
            self._pilot.log("not started, because the pilot leaves at once: it waits again when its match expires", self._job)
            self._job = None
        job = self._crew.take(self._job) if self._job else None
        if job is None or job.share is None:
            return
        self._job, self._is_told, self.taken = None, False, self.taken + 1
        share = {"processors": len(job.share.processors), "memory_mb": job.share.memory_mb, "gpus": len(job.share.gpus)}
        seconds = time.monotonic() - self._asked_at
        self._pilot.phase("matched", job=job, seconds=seconds, running=len(self._crew) + 1, **share)
        self._crew.start(job)

    def _has_let_go(self) -> bool:
        """Whether no request is out any more. One that can not be taken back is given up; should it get a job, that waits on."""
        if self._asking is None:
            return True
        self._asking.withdraw()
        patience_s = _AT_ONCE_S if self._pilot.orders.leave_at_once else _PATIENCE_S
        if self._asking.withdrawing_s >= patience_s or self._pilot.refused:
            self._hear_last(self._asking)
            self._asking = None
        return self._asking is None

    def _hear_last(self, asking: Asking) -> None:
        try:
            self._job = asking.end()
        except Refused as refusal:
            self._pilot.log(f"no match: {refusal.reason}")


def request_of(pilot: Pilot, wait_s: int, free: Free | None = None) -> dict[str, Any]:
    """One new request: what is free of this node, for the time that is still left when its wait is over."""
    resource, left_s = dict(pilot.resource), pilot.seconds_left()
    if left_s is not None:
        resource["CPUTime"] = int(max(0.0, left_s - wait_s))
    if free is not None and not free.whole:
        resource |= {"NumberOfProcessors": free.processors, "MaxRAM": free.memory_mb, WHOLE_NODE: False}
        resource["Tag"] = [tag for tag in resource.get("Tag", ()) if tag != WHOLE_NODE]
        if "NumberOfGPUs" in resource:
            resource["NumberOfGPUs"] = free.gpus
    return {"request_id": str(uuid.uuid4()), "pilot_id": pilot.pilot_id, "wait_s": wait_s, "resource": resource}
