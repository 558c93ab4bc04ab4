"""The jobs and pilots that the matcher is measured on: few requirement sets hold most jobs, and many people the rest.

`jobs(n, queues, seed)` and `pilots(n, seed)` give mappings under DIRAC's names, CPUTime in seconds, memory in MB.
PILOTBUS_WORKLOAD may name another Python file with these two functions.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

GROUPS = ("lhcb_mc", "lhcb_user", "ilc_prod", "bes_user", "bes_prod", "cta_prod", "biomed_user", "belle_mc")
USERS = 60
COUNTRIES = "fr ch it es uk cn jp pl ru us de nl se fi no cz pt br kr in au ca gr tr za"
KINDS = ("LCG", "CLOUD", "SSH", "ARC")
SITES = [f"{kind}.Site{number:02d}.{land}" for number, (kind, land) in enumerate(itertools.product(KINDS, COUNTRIES.split()))]
LINUX = ("x86_64_glibc-2.17", "x86_64_glibc-2.28", "x86_64_glibc-2.34", "aarch64_glibc-2.34")
PLATFORMS = [f"Linux_{one}" for one in LINUX]
JOB_TYPES = ("MCSimulation", "User", "DataReconstruction", "Merge")
CPU_TIMES_S = (360, 1800, 3600, 21_600, 43_200, 86_400, 172_800, 259_200)
LONG_S = CPU_TIMES_S[3:]
TAGS = ("MultiProcessor", "WholeNode", "GPU", "HighMem")
JOB_RAM_MB, PILOT_RAM_MB = (2048, 4096, 8192), (2048, 4096, 16_384)
PRIORITIES = (1, 1, 1, 5, 9)
STEEPNESS = 0.7  # the set of rank r has r^-0.7 of the first one's jobs
AT_ONCE = 100_000

Jobs = Callable[[int, int, int], Iterator[dict[str, Any]]]
Pilots = Callable[[int, int], Iterator[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Workload:
    """Where jobs and pilots come from."""

    jobs: Jobs
    pilots: Pilots


def chosen() -> Workload:
    """The file that PILOTBUS_WORKLOAD names, or the one here."""
    path = os.environ.get("PILOTBUS_WORKLOAD")
    if not path:
        return Workload(jobs, pilots)
    described = importlib.util.spec_from_file_location("given_workload", path)
    if described is None or described.loader is None:
        raise FileNotFoundError(path)
    given = importlib.util.module_from_spec(described)
    described.loader.exec_module(given)
    return Workload(given.jobs, given.pilots)


def jobs(n: int, queues: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """So many jobs over so many different requirement sets."""
    chance = random.Random(f"jobs {seed}")
    shapes = distinct(queues, seed)
    reached = list(itertools.accumulate((rank + 1) ** -STEEPNESS for rank in range(queues)))
    number = 0
    while number < n:
        for shape in chance.choices(shapes, cum_weights=reached, k=min(AT_ONCE, n - number)):
            number += 1
            yield {"JobID": number, "UserPriority": chance.choice(PRIORITIES), **shape}


def distinct(count: int, seed: int) -> list[dict[str, Any]]:
    """So many requirement sets, all different."""
    chance = random.Random(f"requirements {seed}")
    found: dict[str, dict[str, Any]] = {}
    while len(found) < count:
        one = wishes(chance)
        found.setdefault(str(one), one)
    return list(found.values())


def wishes(chance: random.Random) -> dict[str, Any]:
    """What one person's jobs ask for: a quarter names its sites, a seventh bans some, half names platforms."""

    def some(of: list[str] | tuple[str, ...], *counts: int) -> list[str]:
        return sorted(chance.sample(of, chance.choice(counts)))

    group = chance.choice(GROUPS)
    asked: dict[str, Any] = {
        "Owner": f"user{chance.randrange(USERS):02d}",
        "OwnerGroup": group,
        "VO": group.partition("_")[0],
        "CPUTime": chance.choice(CPU_TIMES_S),
    }
    where = chance.random()
    if where < 0.40:
        asked |= {"Sites": some(SITES, 1, 1, 2, 5)} if where < 0.25 else {"BannedSites": some(SITES, 1, 3, 8)}
    if chance.random() < 0.5:
        asked["Platforms"] = some(PLATFORMS, 1, 2)
    if chance.random() < 0.7:
        asked["JobTypes"] = some(JOB_TYPES, 1)
    if chance.random() < 0.15:
        asked["Tags"] = some(TAGS, 1, 1, 2)
    if chance.random() < 0.2:
        asked["MinRAM"] = chance.choice(JOB_RAM_MB)
    return asked


def pilots(n: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """So many pilots, each on a node of its own: of a hundred, thirty offer whole nodes and five a GPU."""
    chance = random.Random(f"pilots {seed}")
    for _ in range(n):
        site = chance.choice(SITES)
        newest, what = chance.choice((1, 2, 3)), chance.random()
        yield {
            "Site": site,
            "GridCE": f"ce{chance.randrange(3)}.{site.lower()}",
            "CPUTime": chance.choice(LONG_S),
            "Platform": PLATFORMS[:newest] if chance.random() < 0.95 else PLATFORMS[-1:],
            "MaxRAM": chance.choice(PILOT_RAM_MB),
            "Tag": ["MultiProcessor", "WholeNode"] if what < 0.3 else ["GPU", "HighMem"] if what < 0.35 else [],
        }
