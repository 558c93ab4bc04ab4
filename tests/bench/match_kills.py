"""Three matchers that are killed at random: every job is claimed exactly once, none is lost, and each answer is the claim's."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from typing import Self

from tests.bench.crowd import Crowd, Node, enrol
from tests.bench.line import impersonator
from tests.bench.match_clients import Heard, in_a_process
from tests.bench.match_house import end, ready, start
from tests.bench.match_parts import Bench
from tests.bench.workload import PLATFORMS, SITES, TAGS

MATCHERS = 3
PILOTS_OF_A_SITE = 20
EVERY_S = (2.0, 10.0)
SILENT_S = 90.0
JOBS, QUEUES = 100_000, 2_000


def everybody() -> list[Node]:
    """Pilots of whom one can take any job of the workload, wherever it wants to run."""
    able = {"CPUTime": 1_000_000, "Platform": PLATFORMS, "MaxRAM": 1 << 20, "Tag": list(TAGS)}
    every = [site for site in SITES for _ in range(PILOTS_OF_A_SITE)]
    return [Node(f"e{number}", able | {"Site": site}) for number, site in enumerate(every)]


def take_all(crowd: Crowd, jobs: int) -> Heard:
    """Everybody asks until so many jobs have come, or nothing comes any more; an answer may come twice."""
    heard = Heard()
    seen: set[tuple[int, int]] = set()
    came_at_s = began_s = time.monotonic()
    while len(seen) < jobs and time.monotonic() < came_at_s + SILENT_S:
        crowd.ask(len(crowd.free))
        answers = crowd.answers(0.5)
        heard.take(answers)
        before = len(seen)
        seen |= {answer.job for answer in answers if answer.job}
        if len(seen) > before:
            came_at_s = time.monotonic()
    heard.per_s = len(seen) / (came_at_s - began_s)
    return heard


class Killers:
    """A thread that ends one of the matchers as by `kill -9`, again and again, and starts another in its place."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.kills = 0
        self.matchers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.matchers = [start("match", number) for number in range(MATCHERS)]
        for one in self.matchers:
            ready(one)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for one in self.matchers:
            end(one)

    def _run(self) -> None:
        while not self._over.wait(self._chance.uniform(*EVERY_S)):
            number = self._chance.randrange(MATCHERS)
            end(self.matchers[number], signal.SIGKILL)
            self.kills += 1
            self.matchers[number] = start("match", number)


def kills(bench: Bench) -> None:
    """No job twice and none lost, however many matchers die."""
    some = everybody()
    with bench.database() as database:
        enrol(database, some)
    with impersonator(bench.told) as url, Killers(1) as killers:
        heard = in_a_process(take_all, url, bench.told.ca_file, some, 1200, bench.jobs)
        count = killers.kills
    bench.pilots = some
    bench.check(heard, 0)
    if (got := len({job[2:] for job in heard.jobs})) != bench.jobs:
        bench.faults.append(f"{got} of {bench.jobs} jobs have come: the others are lost")
    bench.beside["kills: matchers killed"] = count
    bench.beside["kills: jobs a second meanwhile"] = heard.per_s
    bench.beside["kills: answers that came twice"] = len(heard.jobs) - len({job[0] for job in heard.jobs})
