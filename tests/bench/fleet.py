"""`make bench-fleet`: what a fleet of simulated pilots costs, which beat, ask, start and end jobs as real ones do.

All messages are real and pass the gate, each in its pilot's own name; only the connections are shared.
FLEET_PILOTS, FLEET_SECONDS and FLEET_TURNOVERS_PER_S (100,000, 600 and 50) make it smaller.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from bus.apply import Words
from bus.client import Client
from bus.discover import handlers
from bus.settings import Settings, settings
from bus.topology import topology
from bus.transport import Transport
from deploy.migrate import migrate
from deploy.process import leader_of
from tests.bench.line import impersonator
from tests.bench.machine import Used, used
from tests.bench.report import percentile, tell
from tests.bench.simulated import FIRST_WORD, SITE, Fleet, Plan, Told

BEAT_S = 60.0
IDLE_SHARE = 0.01
SAMPLE_S = 5.0
SUBMIT_S = 1.0
SETTLE_S = 20.0
GOALS = {"worst_backlog": "none stays", "backlog_end": "0", "beats_missing": "0", "leases_lost": "0", "parked": "0"}
ROWS = """
TRUNCATE job.jobs, job.submissions, bus.events, bus.unsent, bus.inbox, bus.timers, match.claims, match.queues, pilot.pilots,
         pilot.beats CASCADE;
DELETE FROM trust.enrolments WHERE pilot_id LIKE 'sim-%';
INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, invited_by, invited_at, expires_at, enrolled_at)
SELECT 'sim-' || n, 'sim-' || n, '{site}', 'bench', now(), now(), now() FROM generate_series(0, {pilots} - 1) n;
INSERT INTO pilot.pilots
SELECT 'sim-' || n, 'pilot-sim-' || n, '{site}', 'Running', 'asking', 1, '{{}}', now(), now()
FROM generate_series(0, {pilots} - 1) n;
INSERT INTO job.submissions VALUES (gen_random_uuid(), 'ada', '', 1, {busy}, now());
SELECT setval('job.ids', {busy});
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority, description,
                      pilot_id, site, submitted_at, changed_at)
SELECT n, submission, 'ada', 'local_user', 'local', 'n', 'g', 'Running', 'Application', 1, '{{"Executable": "/bin/true"}}',
       'sim-' || n - 1, '{site}', now(), now() FROM generate_series(1, {busy}) n, job.submissions;
INSERT INTO bus.timers
SELECT 'lease/' || n, now() + make_interval(secs => 1380 + 450 * random()), 'job.lease_expired.v1', n,
       jsonb_build_object('job_id', n, 'attempt', 1) FROM generate_series(1, {busy}) n;
"""
ANALYZED = ("trust.enrolments", "pilot.pilots", "pilot.beats", "job.jobs", "job.usage", "bus.timers")


@dataclass(slots=True)
class Watched:
    """What was seen of the machine and of the queues while the simulation ran."""

    worst: int = 0
    worst_queue: str = ""
    end: int = 0
    before: dict[str, Used] = field(default_factory=dict)
    after: dict[str, Used] = field(default_factory=dict)
    mib: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def prepare(told: Settings, plan: Plan) -> None:
    """The pilots are enrolled, and those that are busy have their jobs, before the services run; nothing else is there."""
    with psycopg.connect(told.dsn, autocommit=True) as database:
        migrate(database)
        database.execute(ROWS.format(site=SITE, pilots=plan.pilots, busy=plan.busy))
        for table in ANALYZED:
            database.execute(f"VACUUM ANALYZE {table}")


def describe(told: Settings, plan: Plan) -> None:
    """The site asks for the plan's beat."""
    with Client(told.client_amqp_url, told.ca_file) as bus:
        bus.follow("site.described.v1.#")
        bus.say("site.described.v1", {"site": SITE, "status": "active", "beat_s": int(plan.beat_s)})
        while not list(bus.events()):
            pass


def simulated(plan: Plan, url: str, ca_file: str, results: Any) -> None:
    """The pilots' own process."""
    try:
        results.put(Fleet(plan, url, ca_file).run())
    except Exception as problem:
        results.put(Told(failure=f"{type(problem).__name__}: {problem}"))


def submit(told: Settings, plan: Plan, over: threading.Event) -> None:
    """As many jobs as end are submitted, a batch each second."""
    owed, at_s = 0.0, time.monotonic()
    until_s = at_s + plan.seconds
    with Client(told.client_amqp_url, told.ca_file) as bus:
        while not over.wait(SUBMIT_S) and time.monotonic() < until_s:
            owed, at_s = owed + (time.monotonic() - at_s) * plan.turnovers_per_s, time.monotonic()
            if owed < 1:
                continue
            description = {"Executable": "/bin/true", "CPUTime": 1000, "Parameters": int(owed)}
            bus.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": description}, within_s=60)
            owed -= int(owed)


def depths(transport: Transport, queues: list[str]) -> tuple[int, str]:
    """The most messages that are ready in any queue, and in which."""
    return max((transport.depth(queue), queue) for queue in queues)


def watch(told: Settings, processes: dict[str, int | None], pilots: Any, results: Any, seconds: float) -> tuple[Watched, Told]:
    """What is seen until the pilots' process has told its own."""
    seen, words = Watched(), Words()
    queues = [queue.name for queue in topology(handlers(known=words.known), words.known).queues]
    with Transport(told.amqp_url, told.ca_file).closing() as transport:
        seen.before, began_s = {name: used(pid) for name, pid in processes.items()}, time.monotonic()
        while results.empty() and pilots.is_alive():
            time.sleep(min(SAMPLE_S, seconds / 4))
            deepest, queue = depths(transport, queues)
            if deepest > seen.worst:
                seen.worst, seen.worst_queue = deepest, queue
            if time.monotonic() < began_s + seconds or not seen.after:
                seen.after, seen.seconds = {name: used(pid) for name, pid in processes.items()}, time.monotonic() - began_s
                for name, now_used in seen.after.items():
                    seen.mib[name] = max(seen.mib.get(name, 0.0), now_used.mib)
        until_s = time.monotonic() + SETTLE_S
        seen.end, _ = depths(transport, queues)
        while seen.end and time.monotonic() < until_s:
            time.sleep(0.5)
            seen.end, _ = depths(transport, queues)
    found = Told(failure="its process has died") if results.empty() else results.get()
    if found.failure:
        raise AssertionError(f"the simulation failed: {found.failure}")
    return seen, found


def simulate(told: Settings, plan: Plan, processes: dict[str, int | None]) -> dict[str, float]:
    """The plan, which was prepared, has been carried out with the services that run; what came of it."""
    describe(told, plan)
    context = multiprocessing.get_context("spawn")
    results, over = context.SimpleQueue(), threading.Event()
    with impersonator(told, f"{FIRST_WORD}[0-9]+") as url:
        pilots = context.Process(target=simulated, args=(plan, url, told.ca_file, results))
        submitter = threading.Thread(target=submit, args=(told, plan, over))
        pilots.start()
        submitter.start()
        try:
            seen, found = watch(told, processes | {"simulator": pilots.pid}, pilots, results, plan.seconds)
        finally:
            over.set()
            submitter.join()
            pilots.kill()
            pilots.join()
    return figures(told, plan, seen, found)


def figures(told: Settings, plan: Plan, seen: Watched, found: Told) -> dict[str, float]:
    """What is printed and kept."""
    with psycopg.connect(told.dsn, autocommit=True) as database:
        count = "SELECT count(*) FILTER (WHERE state = 'Done'), count(*) FILTER (WHERE state = 'Waiting') FROM job.jobs"
        done, waiting = database.execute(count).fetchone() or (0, 0)
        (parked,) = database.execute("SELECT count(*) FROM bus.parked").fetchone() or (0,)
    cpu = {f"{name}_cpu_percent": 100 * (seen.after[name].cpu_s - seen.before[name].cpu_s) / seen.seconds for name in seen.after}
    if found.refused:
        sys.stderr.write(f"{found.refused} requests were refused: {found.why_refused}\n")
    if seen.worst:
        sys.stderr.write(f"the worst backlog was in {seen.worst_queue}\n")
    return {
        "pilots": plan.pilots,
        "seconds": plan.seconds,
        "beats_per_s": len(found.reply_ms) / plan.seconds,
        "turnovers_per_s": done / plan.seconds,
        "worst_backlog": seen.worst,
        "backlog_end": seen.end,
        "beat_reply_p50_ms": percentile(list(found.reply_ms), 0.5),
        "beat_reply_p99_ms": percentile(list(found.reply_ms), 0.99),
        "beat_reply_max_ms": max(found.reply_ms),
        "beats_missing": found.missing,
        "beats_late": found.late,
        "leases_lost": found.leases_lost,
        "matched": found.matched,
        "jobs_waiting_at_end": waiting,
        "refused": found.refused,
        "parked": parked,
        **cpu,
        **{f"{name}_mib": mib for name, mib in seen.mib.items()},
    }


@contextlib.contextmanager
def services(told: Settings) -> Iterator[dict[str, int | None]]:
    """The services run, and the processes whose use is measured, by what they are called in the figures."""
    runner = subprocess.Popen([sys.executable, "-m", "deploy.main", "run"], env=os.environ, stdout=subprocess.PIPE)
    try:
        if runner.stdout is None or runner.stdout.readline() != b"ready\n":
            raise AssertionError("the services did not start")
        stack = Path(told.issuer_dir).parent
        yield {"services": runner.pid, "broker": leader_of(stack, "rabbitmq"), "database": leader_of(stack, "postgres")}
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=60)


def main() -> int:
    """Measures; exit code 1 when a backlog stays, a beat is not answered or a lease is lost."""
    told, wanted = settings(), os.environ
    pilots = int(wanted.get("FLEET_PILOTS", "100000"))
    seconds, rate = float(wanted.get("FLEET_SECONDS", "600")), float(wanted.get("FLEET_TURNOVERS_PER_S", "50"))
    plan = Plan(pilots, pilots - int(pilots * IDLE_SHARE), seconds, BEAT_S, rate)
    prepare(told, plan)
    with services(told) as processes:
        found = simulate(told, plan, processes)
    tell("fleet", found, GOALS, {})
    return 1 if any(found[name] for name in ("backlog_end", "beats_missing", "leases_lost", "parked")) else 0


if __name__ == "__main__":
    sys.exit(main())
