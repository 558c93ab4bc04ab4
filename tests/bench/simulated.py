"""Simulated pilots: each beats once a beat_s, asks for jobs when it is idle, reports them, and runs nothing."""

from __future__ import annotations

import heapq
import json
import random
import selectors
import time
import uuid
from array import array
from dataclasses import dataclass, field
from typing import Any

from bus.event import now
from tests.bench.line import Line

FIRST_WORD = "pilot-sim-"
CONNECTIONS = 4
TICK_S = 0.02
LATE_S = 5.0
PATIENCE_S = 15.0
WAIT_S = 1200
SITE = "FLEET.local.org"
_ENVELOPE = (
    '{"specversion":"1.0","datacontenttype":"application/json","type":"%s","source":"/pilot-sim-%d/simulated","subject":"%s",'
    '"id":"%s","time":"%s","data":%s}'
)
_BEAT = '{"pilot_id":"sim-%d","number":%d,"load":3.2,"free_memory_mb":12000,"free_disk_mb":81000,"jobs":[%s]}'
_JOB = '{"job_id":%d,"attempt":%d,"wall_s":%.1f,"cpu_s":%.1f,"memory_mb":812,"disk_mb":35}'
_REPORT = '{"job_id":%d,"attempt":%d,"pilot_id":"sim-%d","state":"%s","minor_status":"%s"%s}'
_RESOURCE = {"Site": SITE, "CPUTime": 1_000_000, "NumberOfProcessors": 1, "MaxRAM": 4000}
IDLE, MATCHED, RUNNING = range(3)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many pilots for how long: `busy` of them run job n + 1 when it begins, the others ask."""

    pilots: int
    busy: int
    seconds: float
    beat_s: float
    turnovers_per_s: float


@dataclass(slots=True)
class Told:
    """What a simulation has seen."""

    beats: int = 0
    missing: int = 0
    late: int = 0
    leases_lost: int = 0
    matched: int = 0
    done: int = 0
    refused: int = 0
    why_refused: str = ""
    failure: str = ""
    reply_ms: array[float] = field(default_factory=lambda: array("f"))
    match_ms: array[float] = field(default_factory=lambda: array("f"))


class Fleet:
    """All pilots of a plan, on a few connections, in one thread."""

    def __init__(self, plan: Plan, url: str, ca_file: str) -> None:
        self._plan, self.told = plan, Told()
        self._lines = [Line(url, ca_file) for _ in range(CONNECTIONS)]
        self._phase = bytearray([RUNNING]) * plan.busy + bytearray([IDLE]) * (plan.pilots - plan.busy)
        self._jobs = [(n + 1, 1) if n < plan.busy else (0, 0) for n in range(plan.pilots)]
        self._numbers = array("l", [0]) * plan.pilots
        self._asked_at: dict[str, float] = {}
        self._mean_s = max(1.0, plan.busy / plan.turnovers_per_s)
        self._ends: list[tuple[float, int]] = []
        self._ids, self._id = uuid.uuid4().hex[:8], 0
        self._time = now()
        self._chance = random.Random(1)

    def run(self) -> Told:
        """The plan's time is over, and every beat has been answered or waited for long enough."""
        began_s = time.monotonic()
        for n in range(self._plan.busy):
            self._end_later(n, began_s)
        for n in range(self._plan.busy, self._plan.pilots):
            self._ask(n)
        selector = selectors.DefaultSelector()
        for line in self._lines:
            selector.register(line.socket, selectors.EVENT_READ)
        sent, per_s = 0, self._plan.pilots / self._plan.beat_s
        while (passed_s := time.monotonic() - began_s) < self._plan.seconds:
            self._time = now()
            for number in range(sent, int(passed_s * per_s)):
                self._beat(number % self._plan.pilots)
                sent = number + 1
            while self._ends and self._ends[0][0] <= began_s + passed_s:
                self._end(heapq.heappop(self._ends)[1])
            self._turn()
            time.sleep(TICK_S)
        until_s = time.monotonic() + PATIENCE_S
        while any(what.startswith("b") for what in self._asked_at) and time.monotonic() < until_s:
            self._turn()
            time.sleep(TICK_S)
        self.told.missing = sum(what.startswith("b") for what in self._asked_at)
        for line in self._lines:
            line.close()
        return self.told

    def _turn(self) -> None:
        for line in self._lines:
            line.flush()
            for what, body in line.replies():
                self._hear(what, body)

    def _of(self, n: int) -> Line:
        return self._lines[n % CONNECTIONS]

    def _event(self, n: int, kind: str, subject: str, data: str) -> bytes:
        self._id += 1
        event_id = f"{self._ids}-0000-4000-8000-{self._id:012x}"
        return (_ENVELOPE % (kind, n, subject, event_id, self._time, data)).encode()

    def _request(self, n: int, kind: str, data: str, what: str) -> None:
        body = self._event(n, kind, f"sim-{n}", data)
        self._of(n).ask(f"{FIRST_WORD}{n}", f"{kind}.sim-{n}", body, what)
        self._asked_at[what] = time.monotonic()

    def _beat(self, n: int) -> None:
        self._numbers[n] += 1
        self.told.beats += 1
        used_s = 60.0 * self._numbers[n]
        jobs = _JOB % (*self._jobs[n], used_s, used_s) if self._phase[n] != IDLE else ""
        self._request(n, "pilot.beat.v1", _BEAT % (n, self._numbers[n], jobs), f"b{n}.{self._numbers[n]}")

    def _ask(self, n: int) -> None:
        asked = {"request_id": str(uuid.uuid4()), "pilot_id": f"sim-{n}", "wait_s": WAIT_S, "resource": _RESOURCE}
        self._request(n, "match.request.v1", json.dumps(asked), f"m{n}")

    def _report(self, n: int, state: str, minor: str, more: str = "") -> None:
        data = _REPORT % (*self._jobs[n], n, state, minor, more)
        subject = str(self._jobs[n][0])
        body = self._event(n, "job.reported.v1", subject, data)
        self._of(n).say(f"{FIRST_WORD}{n}", f"job.reported.v1.{subject}", body)

    def _end_later(self, n: int, at_s: float) -> None:
        heapq.heappush(self._ends, (at_s + self._chance.expovariate(1 / self._mean_s), n))

    def _end(self, n: int) -> None:
        """The job is over; a pilot then beats at once, and asks for the next."""
        self._report(n, "Done", "Execution Complete", ',"exit_code":0')
        self.told.done += 1
        self._phase[n] = IDLE
        self._beat(n)
        self._ask(n)

    def _hear(self, what: str, body: bytes) -> None:
        took_s = time.monotonic() - self._asked_at.pop(what)
        n = int(what[1:].partition(".")[0])
        if b'"request.refused.v1.reply"' in body:
            self.told.refused += 1
            self.told.why_refused = body.decode()[-300:]
        elif what.startswith("b"):
            self.told.reply_ms.append(1000 * took_s)
            self.told.late += took_s > LATE_S
            self._heard_beat(n, int(what.partition(".")[2]), body)
        else:
            self.told.match_ms.append(1000 * took_s)
            self._matched(n, json.loads(body)["data"]["job"])

    def _heard_beat(self, n: int, number: int, body: bytes) -> None:
        """A job that is matched starts with its lease, as a pilot's does; one that runs must keep it."""
        if number != self._numbers[n] or self._phase[n] == IDLE:
            return
        has = b'"job_id":%d,' % self._jobs[n][0] in body
        self.told.leases_lost += not has
        if self._phase[n] == MATCHED and has:
            self._phase[n] = RUNNING
            self._report(n, "Running", "Application")
            self._end_later(n, time.monotonic())

    def _matched(self, n: int, job: dict[str, Any] | None) -> None:
        if job is None:
            self._ask(n)
            return
        self.told.matched += 1
        self._jobs[n], self._phase[n] = (job["job_id"], job["attempt"]), MATCHED
        self._beat(n)
