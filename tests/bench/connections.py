"""`make bench-connections`: a fleet of pilots with a TLS connection and a token each, and how soon all of them have a job.

Each beats and has a request parked; then as many jobs as there are pilots are submitted at once.
CONNECTIONS (1,000) makes it smaller.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import selectors
import sys
import time
import uuid
from typing import Any

from bus.client import Client
from bus.event import Event
from bus.settings import Settings, settings
from bus.transport import Transport
from schemas.rules.identity import pilot_account
from tests.bench.fleet import describe, prepare, services
from tests.bench.line import Line
from tests.bench.machine import used
from tests.bench.report import percentile, tell
from tests.bench.simulated import SITE, Plan
from tests.bench.spine import pilot_url

PROCESSES = 4
BEAT_S = 60.0
WITHIN_S = 120.0
PARK_S = 3.0
FRAME_BYTES = 16_384
GOALS = {"matched": "every connection"}
RESOURCE = {"Site": SITE, "CPUTime": 1_000_000, "NumberOfProcessors": 1, "MaxRAM": 4000}


class Pilot:
    """One pilot on its own connection."""

    def __init__(self, told: Settings, pilot_id: str) -> None:
        self.pilot_id, self.account = pilot_id, pilot_account(pilot_id)
        self.line = Line(pilot_url(told, pilot_id), told.ca_file, frame_bytes=FRAME_BYTES)
        self.beat_at_s, self.number = 0.0, 0
        self.heard = False

    def ask(self, kind: str, data: dict[str, Any]) -> None:
        """The request is on its way."""
        event = Event(kind, f"/{self.account}/{self.pilot_id}", self.pilot_id, data | {"pilot_id": self.pilot_id})
        self.line.ask(self.account, f"{kind}.{self.pilot_id}", event.to_json(), kind)
        self.line.flush()

    def beat(self) -> None:
        """A beat, when it is due; the connection's own one too."""
        if time.monotonic() >= self.beat_at_s:
            self.beat_at_s, self.number = time.monotonic() + BEAT_S, self.number + 1
            self.ask("pilot.beat.v1", {"number": self.number, "jobs": []})
        self.line.flush()


def pilots(told: Settings, ids: list[str], results: Any) -> None:
    """So many pilots in this process: it tells when all of them have been heard, and then the moment of each match."""
    selector, here = selectors.DefaultSelector(), [Pilot(told, pilot_id) for pilot_id in ids]
    for pilot in here:
        selector.register(pilot.line.socket, selectors.EVENT_READ, pilot)
        pilot.ask("match.request.v1", {"request_id": str(uuid.uuid4()), "wait_s": 1200, "resource": RESOURCE})
    unheard, unmatched = len(here), len(here)
    while unmatched:
        for pilot in here:
            pilot.beat()
        for key, _ in selector.select(timeout=0.2):
            for kind, body in key.data.line.replies():
                if kind == "match.request.v1":
                    job = json.loads(body)["data"]["job"]
                    results.put((job["job_id"], time.monotonic()))
                    unmatched -= 1
                elif not key.data.heard:
                    key.data.heard, unheard = True, unheard - 1
                    if not unheard:
                        results.put("ready")
    for pilot in here:
        pilot.line.close()


def measure(told: Settings, plan: Plan, processes: dict[str, int | None]) -> dict[str, float]:
    """All have a job; what that took."""
    describe(told, plan)
    count = plan.pilots
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    ids = [f"sim-{n}" for n in range(count)]
    before, began_s = {name: used(pid).mib for name, pid in processes.items()}, time.monotonic()
    children = [context.Process(target=pilots, args=(told, ids[n::PROCESSES], results)) for n in range(PROCESSES)]
    for child in children:
        child.start()
    try:
        for _ in children:
            results.get(timeout=WITHIN_S)
        connected_s = time.monotonic() - began_s
        wait_until_taken(told)
        after = {name: used(pid).mib for name, pid in processes.items()}
        with Client(told.client_amqp_url, told.ca_file) as bus:
            submitted_s = time.monotonic()
            description = {"Executable": "/bin/true", "CPUTime": 1000, "Parameters": count}
            bus.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description}, within_s=60)
            replied_s = time.monotonic()
        found = [results.get(timeout=WITHIN_S) for _ in range(count)]
    finally:
        for child in children:
            child.kill()
            child.join()
    delays = [1000 * (at_s - submitted_s) for _, at_s in found]
    return {
        "connections": count,
        "matched": len({job_id for job_id, _ in found}),
        "connected_s": connected_s,
        "submit_reply_ms": 1000 * (replied_s - submitted_s),
        "first_matched_ms": min(delays),
        "p50_matched_ms": percentile(delays, 0.5),
        "all_matched_ms": max(delays),
        **{f"{name}_kib_per_connection": 1024 * (after[name] - before[name]) / count for name in processes},
        **{f"{name}_mib": mib for name, mib in after.items()},
    }


def wait_until_taken(told: Settings) -> None:
    """Every request has been taken from its queue, and had time to be parked."""
    until_s = time.monotonic() + WITHIN_S
    with Transport(told.amqp_url, told.ca_file).closing() as transport:
        while transport.depth("match.request") and time.monotonic() < until_s:
            time.sleep(0.2)
    time.sleep(PARK_S)


def main() -> int:
    """Measures; exit code 1 when not every pilot has a job of its own."""
    told, count = settings(), int(os.environ.get("CONNECTIONS", "1000"))
    plan = Plan(count, 0, 0, BEAT_S, 0)
    prepare(told, plan)
    with services(told) as processes:
        found = measure(told, plan, processes)
    tell("connections", found, GOALS, {})
    return 0 if found["matched"] == count else 1


if __name__ == "__main__":
    sys.exit(main())
