"""`make bench-flood`: what honest pilots notice when a stolen identity sends as fast as it can.

An honest pilot's request is parked, a job is submitted, and the time until the pilot has it is taken: before, and while
the thief sends events, requests and log lines for twenty seconds, and comes again whenever it is thrown out.
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

import pika
import pika.exceptions
import psycopg

from bus.apply import Words
from bus.client import Client
from bus.event import Event
from bus.publisher import parameters
from bus.settings import Settings, settings
from tests.bench.report import percentile, tell
from tests.bench.spine import JOBS, SITE, pilot_url

FLOOD_S = 20.0
BEFORE_S = 8.0
GOALS = {"ratio_p50": "≤ 2", "flood_p50_ms": "≤ 2 × before"}
NODE = {"Site": SITE, "CPUTime": 1_000_000, "NumberOfProcessors": 1, "MaxRAM": 1000}
WORD = {"pilot_id": "p1", "site": SITE, "phase": "asking", "number": 1}
LINES = {"pilot_id": "p1", "stream": "pilot", "first_number": 1, "lines": [{"at": "2026-01-01T00:00:00Z", "text": "x"}]}


def flood(url: str, ca_file: str, begin: Signal, sent: Any) -> None:
    """As much as the broker takes, of all that a pilot may say."""
    ask = {"request_id": str(uuid.uuid4()), "pilot_id": "p1", "wait_s": 600, "resource": NODE}
    words = [
        ("ingress", Event("pilot.reported.v1", "/pilot-p1/p1", "p1", WORD)),
        ("requests", Event("match.request.v1", "/pilot-p1/p1", "p1", ask)),
        ("telemetry", Event("log.written.v1", "/pilot-p1/p1", "p1", LINES)),
    ]
    messages = [(exchange, f"pilot-p1.{event.type}.p1", event.to_json()) for exchange, event in words]
    properties = pika.BasicProperties(user_id="pilot-p1", reply_to="amq.rabbitmq.reply-to")
    count, logins = 0, 0
    begin.wait()
    until_s = time.monotonic() + FLOOD_S
    while time.monotonic() < until_s:
        try:
            logins += 1
            channel = pika.BlockingConnection(parameters(url, ca_file)).channel()
            channel.basic_consume("amq.rabbitmq.reply-to", lambda *_: None, auto_ack=True)
            while time.monotonic() < until_s:
                for exchange, key, body in messages:
                    channel.basic_publish(exchange, key, body, properties)
                count += len(messages)
        except pika.exceptions.AMQPError:
            continue
    sent.put((count, logins))


def delays_ms(told: Settings, words: Words, over: threading.Event) -> list[float]:
    """From sending a submission until the honest pilot, whose request was parked, has the job; until it is over."""
    found: list[float] = []
    asking, answered = threading.Event(), threading.Event()

    def pilot() -> None:
        with Client(pilot_url(told, "p2"), told.ca_file, words=words) as bus:
            while not over.is_set():
                asked = {"request_id": str(uuid.uuid4()), "pilot_id": "p2", "wait_s": 60, "resource": NODE}
                asking.set()
                if bus.ask("match.request.v1", asked, within_s=60)["job"] is not None:
                    found.append(time.monotonic())
                    answered.set()

    thread = threading.Thread(target=pilot)
    thread.start()
    taken = []
    with Client(told.client_amqp_url, told.ca_file, words=words) as bus:
        while not over.is_set():
            asking.wait(timeout=60)
            asking.clear()
            time.sleep(0.03)  # the pilot's request is on its way to be parked
            began_s = time.monotonic()
            bus.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": {"Executable": "/bin/true"}})
            answered.wait(timeout=60)
            answered.clear()
            taken.append(1000 * (found[-1] - began_s))
        # one more, for the request that is parked now
        bus.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": {"Executable": "/bin/true"}})
    thread.join(timeout=90)
    return taken


def measure(told: Settings) -> dict[str, float]:
    """Before, and under the flood."""
    words = Words()
    with psycopg.connect(told.dsn, autocommit=True) as database:
        database.execute(JOBS.format(n=1))
    with Client(told.client_amqp_url, told.ca_file, words=words) as bus:
        bus.say("site.described.v1", {"site": SITE, "status": "active"})
    context = multiprocessing.get_context("spawn")
    begin, sent = context.Event(), context.Queue()
    thief = context.Process(target=flood, args=(pilot_url(told, "p1"), told.ca_file, begin, sent))
    thief.start()
    before = during(told, words, BEFORE_S)
    begin.set()
    flooded = during(told, words, FLOOD_S)
    count, logins = sent.get(timeout=60)
    thief.join()
    with psycopg.connect(told.dsn, autocommit=True) as database:
        cut = "SELECT count(*) FROM trust.bans WHERE kind = 'pilot' AND name = 'p1'"
        (suspended,) = database.execute(cut).fetchone() or (0,)
    return {
        "before_p50_ms": percentile(before, 0.5),
        "before_p99_ms": percentile(before, 0.99),
        "flood_p50_ms": percentile(flooded, 0.5),
        "flood_p99_ms": percentile(flooded, 0.99),
        "flood_max_ms": max(flooded),
        "ratio_p50": percentile(flooded, 0.5) / percentile(before, 0.5),
        "ratio_p99": percentile(flooded, 0.99) / percentile(before, 0.99),
        "matches_in_flood": len(flooded),
        "thief_sent": count,
        "thief_logins": logins,
        "thief_suspended": suspended,
    }


def during(told: Settings, words: Words, seconds: float) -> list[float]:
    """The delays of so many seconds."""
    over = threading.Event()
    threading.Timer(seconds, over.set).start()
    return delays_ms(told, words, over)


def main() -> int:
    """Measures; exit code 1 when honest pilots wait more than twice as long, or the thief is not shut out."""
    told = settings()
    runner = subprocess.Popen([sys.executable, "-m", "deploy.main", "run"], env=os.environ, stdout=subprocess.PIPE)
    try:
        if runner.stdout is None or runner.stdout.readline() != b"ready\n":
            return 1
        figures = measure(told)
        tell("flood", figures, GOALS, {})
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.wait(timeout=60)
    return 0 if figures["ratio_p50"] <= 2 and figures["thief_suspended"] else 1


if __name__ == "__main__":
    sys.exit(main())
