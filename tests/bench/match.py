"""`make bench-match`: the matcher on millions of waiting jobs, through the bus and without it, with durable claims.

All parts take most of an hour; `make bench-match MATCH="100k wake"` measures some. The others keep their last figures.
Exit code 1 when a goal is missed, a job was given twice, lost, or given to a pilot that it does not fit.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

from bus.settings import settings
from deploy.migrate import migrate
from tests.bench import match_kills, match_limits, match_parts
from tests.bench.load import empty
from tests.bench.match_parts import Bench
from tests.bench.report import FOLDER, keep
from tests.bench.workload import chosen

Part = Callable[[Bench], None]
# (jobs, task queues), and what is measured when they are there
PARTS: tuple[tuple[int, int, Mapping[str, Part]], ...] = (
    (match_kills.JOBS, match_kills.QUEUES, {"kills": match_kills.kills}),
    (match_kills.JOBS, match_kills.QUEUES, {"limits": match_limits.limits}),
    (100_000, 2_000, {"100k": lambda bench: match_parts.bus(bench, "100k")}),
    (
        1_000_000,
        10_000,
        {
            "1m": lambda bench: match_parts.bus(bench, "1m"),
            "p99": match_parts.p99,
            "direct": match_parts.direct,
            "wake": match_parts.wake,
            "parked": match_parts.parked,
            "index": match_parts.index,
        },
    ),
    (10_000_000, 10_000, {"10m": lambda bench: match_parts.bus(bench, "10m"), "index10m": match_parts.index}),
)
SMALL = "small"
DIRAC = {"bus_per_s_100k": "101–139", "bus_per_s_1m": "56"}
LEAST = {"bus_per_s_100k": 1000, "bus_per_s_1m": 1000, "bus_per_s_10m": 1000, "direct_per_s_1m": 5000}
MOST = {
    "bus_spread_percent": 20,
    "bus_p99_ms_at_500": 50,
    "wake_p50_ms": 30,
    "wake_p99_ms": 150,
    "index_rebuild_s": 10,
    "parked_100k_mib": 1024,
}
ORDER = (*LEAST, *MOST)


def spread(figures: Mapping[str, float]) -> dict[str, float]:
    """By how much the slowest size is slower than the fastest, if all were measured."""
    rates = [figures[name] for name in LEAST if name.startswith("bus_") and name in figures]
    return {"bus_spread_percent": 100 * (1 - min(rates) / max(rates))} if len(rates) == 3 else {}


def met(name: str, value: float) -> bool:
    """Whether the figure is as good as its goal."""
    return value >= LEAST[name] if name in LEAST else value <= MOST[name]


def show(bench: Bench) -> None:
    """Ours beside DIRAC's and the goals."""
    about = "DIRAC 9.1.22, MariaDB, the database's work alone; at 20 k jobs in 500 queues 225"
    table = Table("figure", "ours", "DIRAC", "goal", "met", title="match", caption=about)
    for name in ORDER:
        if name in bench.figures:
            value = bench.figures[name]
            goal = f"≥ {LEAST[name]:,}" if name in LEAST else f"≤ {MOST[name]:,}"
            table.add_row(name, f"{value:,.1f}", DIRAC.get(name, ""), goal, "yes" if met(name, value) else "no")
    for name, value in bench.beside.items():
        table.add_row(f"[dim]{name}[/dim]", f"[dim]{value:,.1f}[/dim]")
    Console().print(table)
    for fault in bench.faults:
        print(f"FAULT: {fault}")


def known() -> dict[str, float]:
    """The figures of the last time."""
    path = FOLDER / "match.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["figures"]) if path.exists() else {}


def measure(bench: Bench, wanted: set[str]) -> None:
    """The parts that are wanted, each on jobs of its size; the index is measured once, at the largest size."""
    for jobs, queues, parts in PARTS:
        todo = {name: part for name, part in parts.items() if name in wanted}
        if todo:
            bench.load(jobs, queues)
        for name, part in todo.items():
            began_s = time.monotonic()
            part(bench)
            print(f"{name}: {time.monotonic() - began_s:.0f} s", flush=True)


def parts_of(words: list[str]) -> set[str]:
    """The parts that these words name; all when they name none. Raises SystemExit for a word that is none."""
    every = {name for _, _, parts in PARTS for name in parts}
    if strange := set(words) - every - {SMALL}:
        raise SystemExit(f"no part is called {', '.join(sorted(strange))}; there are {', '.join(sorted(every))}, and {SMALL}")
    wanted = set(words) - {SMALL} or every
    return wanted - {"index"} if wanted == every else wanted


def main(words: list[str]) -> int:
    """Measures; see above for the exit code."""
    small = SMALL in words
    bench = Bench(settings(), chosen(), smaller=10 if small else 1)
    wanted = parts_of(words)
    with bench.database() as database:
        migrate(database)
    try:
        measure(bench, wanted)
    finally:
        bench.figures |= spread(bench.figures)
        show(bench)
        if not small:
            keep("match", known() | bench.figures | spread(known() | bench.figures))
        with bench.database() as database:
            empty(database)  # ten million jobs are as many gigabytes
    missed = [name for name, value in bench.figures.items() if not met(name, value)]
    return 1 if bench.faults or (missed and not small) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
