"""Limits while three matchers are killed at random and jobs end: no counter is ever wrong, and no limit ever passed."""

from __future__ import annotations

import random
import threading
import time
import uuid
from typing import Any, Self

import psycopg

from bus.apply import Words, apply
from bus.discover import handlers
from bus.event import Event
from bus.postgres import connect
from tests.bench.crowd import Crowd, enrol
from tests.bench.line import impersonator
from tests.bench.match_clients import Heard, finish, in_a_process
from tests.bench.match_kills import Killers, everybody
from tests.bench.match_parts import Bench
from tests.bench.workload import SITES
from tests.handlers.claims import differing

SECONDS = 60.0
ENDED_AT_ONCE = 50
MOST = {"*": 40, "User": 25}
RATE_PER_S = 5.0  # of matches at every fourth site
BURST = 10

_LIMIT = """INSERT INTO match.limits (site, ce, attribute, value, most, running, delay_s, burst, tokens, at)
VALUES (%s, '', %s, %s, %s, 0, %s, %s, %s, now())"""
_PASSED = "SELECT site, attribute, value, most, running FROM match.limits WHERE running > most"
_HELD = """SELECT job_id, attempt FROM match.claims TABLESAMPLE BERNOULLI (20) WHERE released_at IS NULL LIMIT %s"""
_FULL = "SELECT count(*) FILTER (WHERE running = most) FROM match.limits"
_FAST = """SELECT site, count(*) FROM match.claims WHERE site = ANY(%s) GROUP BY site"""


def describe(database: psycopg.Connection[Any]) -> list[str]:
    """Every site has limits, before there is a claim; gives those that are also slow."""
    slow = sorted(SITES)[::4]
    for site in SITES:
        delay_s = 1 / RATE_PER_S if site in slow else None
        for attribute, value in (("*", "*"), ("JobType", "User")):
            wait_s = delay_s if attribute == "*" else None
            database.execute(_LIMIT, (site, attribute, value, MOST[value], wait_s, BURST, BURST))
    return slow


class Ends:
    """A thread that ends jobs which somebody has, again and again, and looks between whether all limits are kept."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._over = bench, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.found: list[str] = []
        self.looks = self.ended = self.full = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        words = Words()
        release = next(one for one in handlers(known=words.known) if one.name == "match.release")
        with connect(self._bench.told.dsn) as database:
            while not self._over.wait(0.05):
                self.look(database)
                held = database.execute(_HELD, (ENDED_AT_ONCE,)).fetchall()
                over = [
                    Event(
                        "job.done.v1",
                        "/bench",
                        str(job),
                        {"job_id": job, "attempt": attempt, "minor_status": ""},
                        id=str(uuid.uuid4()),
                    )
                    for job, attempt in held
                ]
                apply(release, over, database, words)
                self.ended += len(over)

    def look(self, database: psycopg.Connection[Any]) -> None:
        """Counters are the claims, in one moment, and none is above what is allowed."""
        self.looks += 1
        self.found += [f"the limit {row[:4]} counts {row[4]} and has {row[5]} claims" for row in differing(database)]
        self.found += [
            f"at {row[0]} {row[4]} jobs of {row[1]} {row[2]} run, and {row[3]} may" for row in database.execute(_PASSED)
        ]
        (full,) = database.execute(_FULL).fetchone() or (0,)
        self.full = max(self.full, full)


def ask_for(crowd: Crowd, seconds: float) -> Heard:
    """Everybody who is free asks, for so long."""
    heard = Heard()
    over_s = time.monotonic() + seconds
    while time.monotonic() < over_s:
        crowd.ask(len(crowd.free))
        heard.take(crowd.answers(0.2))
    finish(crowd, heard)
    return heard


def limits(bench: Bench) -> None:
    """No counter is ever other than its claims, no limit passed, no rate exceeded, however many matchers die."""
    some = everybody()
    random.Random(1).shuffle(some)
    with bench.database() as database:
        enrol(database, some)
        slow = describe(database)
        with impersonator(bench.told) as url, Killers(2) as killers, Ends(bench) as ends:
            began_s = time.monotonic()
            heard = in_a_process(ask_for, url, bench.told.ca_file, some, 20, bench.seconds(SECONDS))
            took_s = time.monotonic() - began_s
        ends.look(database)
        bench.faults += ends.found[:10]
        for site, count in database.execute(_FAST, (slow,)):
            if count > (allowed := BURST + RATE_PER_S * (took_s + 1)):
                bench.faults.append(f"at {site} {count} jobs were matched in {took_s:.0f} s, and {allowed:.0f} may")
        database.execute("TRUNCATE match.limits")
    if not ends.full:
        bench.faults.append("no limit was ever reached: nothing was tried")
    bench.pilots = some
    bench.check(heard, 0)
    bench.beside["limits: looks at all counters"] = ends.looks
    bench.beside["limits: most that were full at once"] = ends.full
    bench.beside["limits: jobs that ended"] = ends.ended
    bench.beside["limits: matchers killed"] = killers.kills
