"""What `make bench-match` measures, part by part; each part finds its jobs loaded, and leaves nothing running."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bus import apply
from bus.apply import Words
from bus.client import Client
from bus.discover import handlers
from bus.event import Event
from bus.postgres import connect
from bus.settings import Settings
from schemas.rules.identity import pilot_account
from tests.bench.crowd import Answer, Crowd, Node, enrol, nodes
from tests.bench.line import impersonator
from tests.bench.load import load
from tests.bench.match_checks import faults, misfits
from tests.bench.match_clients import Heard, by_the_clock, in_a_process, keep_asking
from tests.bench.match_house import broker_mib, depth, end, quiet, ready, resident_mib, services, start, stopwatch
from tests.bench.report import percentile
from tests.bench.spine import SITE, pilot_url
from tests.bench.workload import Workload

PILOTS = 10_000
PARKED = 100_000
OTHERS = 10_000
ROUNDS = 200
BATCH = 500
SEED = 1
WAKER = Node("waker", {"Site": SITE, "CPUTime": 1_000_000, "NumberOfProcessors": 1, "MaxRAM": 1000}, "local")
WOKEN_BY = {"Executable": "/bin/true", "Site": [SITE]}
TIDY = "TRUNCATE bus.events, bus.unsent, bus.inbox, bus.timers"


@dataclass(slots=True)
class Bench:
    """Where it runs, how large, and what it found."""

    told: Settings
    workload: Workload
    smaller: int = 1  # everything so many times smaller, to try the bench itself
    figures: dict[str, float] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    pilots: list[Node] = field(default_factory=list)
    jobs: int = 0

    def database(self) -> psycopg.Connection[Any]:
        """A connection of one's own."""
        return psycopg.connect(self.told.dsn, autocommit=True)

    def seconds(self, wanted: float) -> float:
        """How long to measure."""
        return wanted if self.smaller == 1 else 3.0

    def load(self, jobs: int, queues: int) -> None:
        """So many jobs of the workload wait, and a crowd of pilots is enrolled."""
        quiet(self.told)
        self.jobs = jobs // self.smaller
        count, took_s = load(self.told.dsn, self.workload.jobs(self.jobs, queues // self.smaller, SEED), self.jobs)
        print(f"{self.jobs:,} jobs in {count:,} task queues, loaded in {took_s:.0f} s", flush=True)
        self.pilots = nodes(self.workload.pilots(PILOTS, SEED))
        with self.database() as database:
            enrol(database, self.pilots)

    def tidy(self) -> None:
        """What the last part left for others to do is forgotten."""
        quiet(self.told)
        with self.database() as database:
            database.execute(TIDY)

    def claimed(self) -> int:
        """How many jobs have been claimed."""
        with self.database() as database:
            (count,) = database.execute("SELECT count(*) FROM match.claims").fetchone() or (0,)
        return int(count)

    def check(self, heard: Heard, claimed_before: int) -> None:
        """What was given was given once, to whom it fits."""
        with self.database() as database:
            self.faults += faults(database, heard.jobs, claimed_before) + misfits(database, self.pilots)[:5]


def client(bench: Bench, url: str, how: Callable[..., Heard], *more: Any) -> Heard:
    """What the crowd hears, checked."""
    before = bench.claimed()
    heard = in_a_process(how, url, bench.told.ca_file, bench.pilots, 20, *more)
    bench.check(heard, before)
    return heard


def bus(bench: Bench, name: str) -> None:
    """bus_per_s_…: replies with a job in a second, as fast as may be."""
    bench.tidy()
    with impersonator(bench.told) as url, services("match") as matchers:
        since = stopwatch(bench.told, matchers)
        heard = client(bench, url, keep_asking, 4.0, bench.seconds(15.0))
        note(bench, name, since(), heard)
    bench.figures[f"bus_per_s_{name}"] = heard.per_s
    bench.beside[f"{name}: requests that were told there is nothing"] = heard.empty


def note(bench: Bench, name: str, spent: dict[str, float], heard: Heard) -> None:
    """What a match has cost whom."""
    for who in ("matcher", "broker", "postgres"):
        bench.beside[f"{name}: processor microseconds of a match, {who}"] = 1e6 * spent[who] / max(1, len(heard.jobs))
    bench.beside[f"{name}: processor microseconds of a match, clients"] = heard.processor_us


def p99(bench: Bench) -> None:
    """bus_p99_ms_at_500: from the planned moment of a request to its reply, 500 a second."""
    bench.tidy()
    with impersonator(bench.told) as url, services("match") as matchers:
        since = stopwatch(bench.told, matchers)
        heard = client(bench, url, by_the_clock, 500.0, 4.0, bench.seconds(25.0))
        note(bench, "p99", since(), heard)
    bench.beside["bus_p50_ms_at_500"] = percentile(heard.delays_ms, 0.5)
    bench.figures["bus_p99_ms_at_500"] = percentile(heard.delays_ms, 0.99)


def direct(bench: Bench) -> None:
    """direct_per_s_1m: the handler on requests that are there already, committed batch by batch, without a broker.

    It is warm when the database has written the pages of its indexes whole into its log, once after each checkpoint.
    """
    bench.tidy()
    words = Words()
    handler = next(one for one in handlers(known=words.known) if one.name == "match.request")
    heard, before, place = Heard(), bench.claimed(), 0
    asked: dict[str, str] = {}
    with connect(bench.told.dsn) as database:
        memory = apply.memory_of(handler)
        begin_s = time.monotonic() + bench.seconds(12.0)
        counted, taken_s = 0, 0.0
        while (now_s := time.monotonic()) < begin_s + bench.seconds(12.0):
            some = [request(bench.pilots[(place + n) % len(bench.pilots)]) for n in range(BATCH)]
            place += BATCH
            asked |= {one.id: one.data["pilot_id"] for one in some}
            asked_s = time.monotonic()
            replies, _ = apply.serve(handler, some, (), database, words, memory)
            given = [(request_id, reply.data["job"]) for request_id, reply in replies.items() if reply.data["job"]]
            if now_s > begin_s:
                counted, taken_s = counted + len(given), taken_s + time.monotonic() - asked_s
            heard.jobs += [(request_id, asked[request_id], job["job_id"], job["attempt"]) for request_id, job in given]
    bench.figures["direct_per_s_1m"] = counted / taken_s
    bench.check(heard, before)


def request(node: Node) -> Event:
    """A request of this pilot, as the gate has let it in."""
    account, request_id = pilot_account(node.pilot_id), str(uuid.uuid4())
    asked = {"request_id": request_id, "pilot_id": node.pilot_id, "wait_s": 20, "resource": dict(node.resource)}
    return Event("match.request.v1", f"/{account}/{node.pilot_id}", node.pilot_id, asked, id=request_id).attested(account)


def wake(bench: Bench) -> None:
    """wake_…_ms: from sending a submission until the parked pilot has the job; of its neighbours none fits it."""
    bench.tidy()
    resources = bench.workload.pilots(OTHERS // bench.smaller, SEED + 1)
    others = [Node(one.pilot_id, one.resource, "local" if n % 2 else "idle") for n, one in enumerate(nodes(resources, "w"))]
    with bench.database() as database:
        enrol(database, [WAKER, *others])
    with impersonator(bench.told) as url, services("match", "job,site") as matchers:
        with Client(bench.told.client_amqp_url, bench.told.ca_file) as person:
            person.follow("site.described.v1.#")
            person.say("site.described.v1", {"site": SITE, "status": "active"})
            while not list(person.events()):
                pass
        with Crowd(url, bench.told.ca_file, others, 1200) as crowd:
            park(bench, crowd, len(others), matchers[0])
            taken = delays_ms(bench, ROUNDS if bench.smaller == 1 else 20)
            if came := crowd.answers(0.0):
                bench.faults.append(f"{len(came)} of those that only waited got an answer: {came[0].body['data']}")
    bench.figures["wake_p50_ms"] = percentile(taken, 0.5)
    bench.figures["wake_p99_ms"] = percentile(taken, 0.99)


def park(bench: Bench, crowd: Crowd, count: int, matcher: int) -> None:
    """So many requests wait with the matcher, which has nothing to do any more."""
    for _ in range(0, count, 1000):
        crowd.ask(1000)
        time.sleep(0.05)  # the broker takes more at once, but then everybody else's connection waits
    idle_s, before = 0.0, 0.0
    while idle_s < 2.0:
        since = stopwatch(bench.told, [matcher])
        time.sleep(1.0)
        idle = depth(bench.told, "match.request") == 0 and since()["matcher"] < 0.3
        idle_s, before = (idle_s + 1.0 if idle else 0.0), before + 1.0
        if before > 300:
            raise AssertionError(f"{count} requests are not parked after {before:.0f} s")


def delays_ms(bench: Bench, rounds: int) -> list[float]:
    """As the spine's bench takes them."""
    answered: list[float] = []
    asking, done = threading.Event(), threading.Event()
    words = Words()

    def pilot() -> None:
        with Client(pilot_url(bench.told, WAKER.pilot_id), bench.told.ca_file, words=words) as line:
            for _ in range(rounds):
                asked = request(WAKER).data | {"wait_s": 60}
                asking.set()
                reply = line.ask("match.request.v1", asked, within_s=60)
                answered.append(time.monotonic())
                if reply["job"] is None:
                    raise AssertionError("a parked pilot was sent away")
                done.set()

    thread = threading.Thread(target=pilot, daemon=True)
    thread.start()
    sent = []
    with Client(bench.told.client_amqp_url, bench.told.ca_file, words=words) as person:
        for _ in range(rounds):
            if not asking.wait(timeout=60):
                raise AssertionError("the pilot does not ask any more")
            asking.clear()
            time.sleep(0.05)  # its request is on its way to be parked; a slower one would only be answered sooner
            sent.append(time.monotonic())
            person.ask("job.submit.v1", {"submission": str(uuid.uuid4()), "description": WOKEN_BY})
            if not done.wait(timeout=60):
                raise AssertionError("a job was submitted, and the parked pilot has not got it")
            done.clear()
    thread.join()
    return [1000 * (late - early) for early, late in zip(sent, answered, strict=True)]


def index(bench: Bench) -> None:
    """index_rebuild_s: from the start of a matcher until a request that waited for it has its answer."""
    bench.tidy()
    with impersonator(bench.told) as url, Crowd(url, bench.told.ca_file, bench.pilots[:50], 60) as crowd:
        began_s = time.monotonic()
        crowd.ask(50)
        matcher = start("match")
        try:
            came: list[Answer] = []
            while not any(one.job for one in came):
                came += crowd.answers(1.0)
                if time.monotonic() > began_s + 300:
                    raise AssertionError("no answer within 300 s of the matcher's start")
            bench.figures["index_rebuild_s"] = came[-1].at_s - began_s
            ready(matcher)
        finally:
            end(matcher)


def parked(bench: Bench) -> None:
    """parked_100k_mib: the memory of a matcher with all queues in its index and so many requests parked."""
    bench.tidy()
    count = PARKED // bench.smaller
    some = nodes(bench.workload.pilots(count, SEED + 2), "k", "idle")
    with bench.database() as database:
        enrol(database, some)
    with impersonator(bench.told) as url, services("match") as matchers, Crowd(url, bench.told.ca_file, some, 1200) as crowd:
        before_mib, broker_before_mib = resident_mib(matchers[0]), broker_mib(bench.told)
        began_s = time.monotonic()
        park(bench, crowd, count, matchers[0])
        bench.beside["seconds until all were parked"] = time.monotonic() - began_s
        bench.figures["parked_100k_mib"] = resident_mib(matchers[0])
        bench.beside["parked: matcher's growth in MiB"] = resident_mib(matchers[0]) - before_mib
        bench.beside["parked: broker in MiB"] = broker_mib(bench.told)
        bench.beside["parked: broker's growth in MiB"] = broker_mib(bench.told) - broker_before_mib
        if came := crowd.answers(0.0):
            bench.faults.append(f"{len(came)} parked requests were answered: {came[0].body['data']}")
