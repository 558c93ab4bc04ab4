"""`make bench`: how fast the spine is, on one runner process, with durable commits and confirms, over TLS.

events_per_s: job reports of a pilot through gate → handler → rows → relay, until their facts arrive on the trusted exchange.
submit_to_reply: from sending a submission until a pilot whose request was parked has the job; five events lie between.
rpc_per_s: small requests and their replies, from four clients at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from multiprocessing.synchronize import Event as Signal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from bus.apply import Words
from bus.client import Client
from bus.event import Event
from bus.login import login
from bus.publisher import Message, Publisher
from bus.settings import Settings, settings
from bus.transport import Transport
from handlers.token.issuer import Issuer
from schemas.rules.identity import pilot_account
from tests.bench.report import percentile, tell

EVENTS = 30_000
ROUNDS = 200
CLIENTS = 4
RPC_S = 6.0
GOALS = {"events_per_s": "≥ 2,000", "submit_to_reply_p50_ms": "≤ 50", "submit_to_reply_p99_ms": "≤ 200"}
SITE = "BENCH.local.org"
JOBS = """
TRUNCATE job.jobs, job.history, job.submissions, bus.events, bus.unsent, bus.inbox, bus.timers, match.claims, match.queues;
INSERT INTO job.submissions VALUES ('7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', '', 1, {n}, now());
SELECT setval('job.ids', {n});
INSERT INTO job.jobs (job_id, submission, owner, owner_group, vo, job_name, job_group, state, minor_status, priority, description,
                      pilot_id, submitted_at, changed_at)
SELECT n, '7d3f0f6e-2c37-4f0e-9a53-3f8d1f7f0a01', 'ada', 'local_user', 'local', 'n', 'g', 'Running', 'Application', 1, '{{}}',
       'p1', now(), now()
FROM generate_series(1, {n}) n;
ANALYZE job.jobs;
INSERT INTO trust.enrolments (pilot_id, secret_sha256, site, invited_by, invited_at, expires_at, enrolled_at)
SELECT 'p' || n, 'p' || n, 'BENCH.local.org', 'bench', now(), now(), now() FROM generate_series(1, 2) n
ON CONFLICT DO NOTHING;
"""


def pilot_url(told: Settings, pilot_id: str) -> str:
    """The address of an enrolled pilot, with a token of its own."""
    where = urlsplit(told.pilot_amqp_url.split(",")[0])
    issuer = Issuer(told.issuer_dir, told.door_url, login(told.amqp_url).vhost)
    secret = issuer.pilot(pilot_id).text
    return urlunsplit(where._replace(netloc=f"{pilot_account(pilot_id)}:{secret}@{where.hostname}:{where.port}"))


def reports() -> list[Message]:
    """A report for every job, as its pilot sends it."""
    done = {"attempt": 1, "pilot_id": "p1", "state": "Done", "minor_status": "Execution Complete", "exit_code": 0}
    events = [Event("job.reported.v1", "/pilot-p1/p1", str(n), {"job_id": n} | done) for n in range(1, EVENTS + 1)]
    return [Message("ingress", f"pilot-p1.{e.type}.{e.subject}", e.to_json(), e.id, e.type) for e in events]


def events_per_s(told: Settings) -> float:
    """Reports in, facts out."""
    with psycopg.connect(told.dsn, autocommit=True) as database:
        database.execute(JOBS.format(n=EVENTS))
    messages = reports()
    publisher = Publisher(pilot_url(told, "p1"), told.ca_file).start()
    with Transport(told.amqp_url, told.ca_file).closing() as taker:
        taker.own_queue("bench")
        taker.bind("bench", "events", "job.done.v1.*")
        taker.consume("bench", no_ack=True)
        publisher.publish([]).result()
        started = time.monotonic()
        feeder = threading.Thread(target=feed, args=(publisher, messages))
        feeder.start()
        came = 0
        while came < EVENTS:
            came += len(taker.receive(1000, 5.0))
        took_s = time.monotonic() - started
        feeder.join()
    publisher.stop()
    return EVENTS / took_s


def feed(publisher: Publisher, messages: list[Message]) -> None:
    """All messages are with the broker, a thousand on the way at a time."""
    waiting = [publisher.publish(messages[:500])]
    for start in range(500, len(messages), 500):
        waiting.append(publisher.publish(messages[start : start + 500]))
        waiting.pop(0).result(timeout=60)
    waiting[0].result(timeout=60)


def submit_to_reply_ms(told: Settings, words: Words) -> list[float]:
    """For each round, from sending a submission to the parked pilot's answer."""
    answered: list[float] = []
    asking, done = threading.Event(), threading.Event()

    def pilot() -> None:
        node = {"Site": SITE, "CPUTime": 1_000_000, "NumberOfProcessors": 1, "MaxRAM": 1000}
        with Client(pilot_url(told, "p1"), told.ca_file, words=words) as bus:
            for _ in range(ROUNDS):
                asked = {"request_id": str(uuid.uuid4()), "pilot_id": "p1", "wait_s": 60, "resource": node}
                asking.set()
                reply = bus.ask("match.request.v1", asked, within_s=60)
                answered.append(time.monotonic())
                if reply["job"] is None:
                    raise AssertionError("a parked pilot was sent away")
                done.set()

    thread = threading.Thread(target=pilot)
    thread.start()
    sent = []
    with Client(told.client_amqp_url, told.ca_file, words=words) as bus:
        for _ in range(ROUNDS):
            asking.wait(timeout=60)
            asking.clear()
            time.sleep(0.03)  # the pilot's request is on its way to be parked; a slower one would only be answered sooner
            sent.append(time.monotonic())
            bus.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": {"Executable": "/bin/true"}})
            done.wait(timeout=60)
            done.clear()
    thread.join()
    return [1000 * (end - start) for start, end in zip(sent, answered, strict=True)]


def ask_for_a_while(url: str, ca_file: str, begin: Signal, counts: Any) -> None:
    """One client asks as fast as it is answered."""
    with Client(url, ca_file) as bus:
        bus.ask("pilot.query.v1", {})
        begin.wait()
        until, count = time.monotonic() + RPC_S, 0
        while time.monotonic() < until:
            bus.ask("pilot.query.v1", {"limit": 1})
            count += 1
        counts.put(count)


def rpc_per_s(told: Settings) -> float:
    """Replies per second, all clients together."""
    context = multiprocessing.get_context("spawn")
    begin, counts = context.Event(), context.Queue()
    arguments = (told.client_amqp_url, told.ca_file, begin, counts)
    clients = [context.Process(target=ask_for_a_while, args=arguments) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    begin.set()
    total = sum(int(counts.get(timeout=60)) for _ in clients)
    for client in clients:
        client.join()
    return total / RPC_S


def publish_and_wait_per_s(told: Settings) -> float:
    """The slow way, for comparison: one message, one confirm, on a quorum queue, nothing behind it."""
    body = reports()[0].body
    with Transport(told.amqp_url, told.ca_file).closing() as transport:
        from bus.topology import Queue, Topology

        transport.declare(Topology({}, (Queue("bench.wait", {"x-queue-type": "quorum"}),), ()))
        started = time.monotonic()
        for _ in range(1000):
            transport.publish("", "bench.wait", body)
        took_s = time.monotonic() - started
        transport.delete("bench.wait")
    return 1000 / took_s


def main() -> int:
    """Measures all; exit code 1 when a goal is missed."""
    told = settings()
    # one pilot says here what thousands do, and one person asks for many
    env = os.environ | {"PILOTBUS_RATE_PER_S": "0"}
    runner = subprocess.Popen([sys.executable, "-m", "deploy.main", "run"], env=env, stdout=subprocess.PIPE)
    try:
        if runner.stdout is None or runner.stdout.readline() != b"ready\n":
            return 1
        words = Words()
        with Client(told.client_amqp_url, told.ca_file, words=words) as bus:
            bus.follow("site.described.v1.#")
            bus.say("site.described.v1", {"site": SITE, "status": "active"})
            while not list(bus.events()):
                pass
        rate = events_per_s(told)
        delays = submit_to_reply_ms(told, words)
        figures = {
            "events_per_s": rate,
            "submit_to_reply_p50_ms": percentile(delays, 0.5),
            "submit_to_reply_p99_ms": percentile(delays, 0.99),
            "rpc_per_s": rpc_per_s(told),
        }
        tell("spine", figures, GOALS, {"publish_and_wait_per_s": publish_and_wait_per_s(told)})
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=60)
    met = rate >= 2000 and figures["submit_to_reply_p50_ms"] <= 50 and figures["submit_to_reply_p99_ms"] <= 200
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
