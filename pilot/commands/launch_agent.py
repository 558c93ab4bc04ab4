"""The loop: ask for a job, run it, say how it went, ask again; until there is a reason to leave."""

from __future__ import annotations

import time
import uuid
from typing import Any

from pilot.command import EVICTED, REFUSED, Job, Pilot, Stop
from pilot.config import Config
from pilot.job import run_job
from pilot.wire.envelope import Refused
from pilot.wire.outbox import backoff

SAYS = ("pilot.reported.v1", "pilot.obeyed.v1")
ASKS = ("match.request.v1", "pilot.listen.v1", "pilot.beat.v1")
WAIT_S = 300
_AGAIN_S = 30
_LINGER_S = 1.0
_SHORTEST_JOB_S = 100


def judge(config: Config, *, idle_s: float, done: int, left_s: float | None, leaving: str) -> str:
    """Why to leave now, or nothing."""
    if leaving:
        return leaving
    if config.max_jobs and done >= config.max_jobs:
        return "max-jobs"
    if left_s is not None and left_s < _SHORTEST_JOB_S:
        return "no time left"
    return "idle" if idle_s >= config.idle_limit_s else ""


def run(pilot: Pilot) -> None:
    pilot.orders.listen(pilot, pilot.log)
    pilot.heart.start()
    done, since = 0, time.monotonic()
    pilot.phase("asking")
    while True:
        reason = _reason(pilot, done, since)
        if reason:
            break
        job = _ask(pilot, since)
        if job is None:
            continue
        pilot.phase("matched", job=job, seconds=time.monotonic() - since)
        run_job(pilot, job)
        done, since = done + 1, time.monotonic()
        if not _reason(pilot, done, since):
            pilot.phase("asking")
    pilot.leave(reason, jobs=done)
    if pilot.orders.leave_at_once:
        raise Stop(pilot.orders.why, EVICTED)


def _reason(pilot: Pilot, done: int, since: float) -> str:
    if pilot.refused:
        raise Stop(pilot.refused, REFUSED)
    idle_s, leaving = time.monotonic() - since, pilot.orders.leaving
    return judge(pilot.config, idle_s=idle_s, done=done, left_s=pilot.seconds_left(), leaving=leaving)


def _ask(pilot: Pilot, since: float) -> Job | None:
    """A job, or None when there is none yet or the pilot is to leave. Raises Stop when the services want no such pilot."""
    idle_left_s = pilot.config.idle_limit_s - (time.monotonic() - since)
    wait_s = int(max(1, min(WAIT_S, idle_left_s)))
    try:
        reply = _answer(pilot, request_of(pilot, wait_s), wait_s, idle_left_s)
    except Refused as refusal:
        if refusal.code in ("unavailable", "conflict"):
            pilot.log(f"no match for now: {refusal.reason}")
            pilot.orders.wait(1 + backoff(3))
            return None
        raise Stop(f"the services refuse this pilot: {refusal.reason}", REFUSED) from refusal
    if reply is None or not reply.get("job"):
        return None
    found = {name: reply["job"][name] for name in Job.__dataclass_fields__ if name in reply["job"]}
    return Job(**found)


def request_of(pilot: Pilot, wait_s: int) -> dict[str, Any]:
    """One new request: what this node offers for the time that it still has."""
    left_s = pilot.seconds_left()
    resource = pilot.resource if left_s is None else {**pilot.resource, "CPUTime": int(left_s)}
    return {"request_id": str(uuid.uuid4()), "pilot_id": pilot.pilot_id, "wait_s": wait_s, "resource": resource}


def _answer(pilot: Pilot, request: dict[str, Any], wait_s: int, idle_left_s: float) -> dict[str, Any] | None:
    """The reply; None when the pilot is to leave."""
    future = pilot.ask("match.request.v1", request, wait_s + _AGAIN_S)
    future.add_done_callback(pilot.orders.changed)
    # the service answers within wait_s, and the wire asks again when it does not: this end is for a lasting silence
    until = time.monotonic() + idle_left_s + 2 * _AGAIN_S
    while not (future.done() or pilot.orders.leaving or pilot.refused) and time.monotonic() < until:
        pilot.orders.wait(1.0)
    if not future.done() and pilot.orders.leaving:
        # a job may be on its way; taking it now is better than letting its match expire
        pilot.orders.wait(_LINGER_S)
    if future.done() or not future.cancel():
        return future.result()
    return None
