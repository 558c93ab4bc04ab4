"""How fast is a processor here? A short benchmark on each that may be used, all at once, as jobs would run."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pilot.command import Pilot, Stop

SAYS = ()
_MOST_PROCESSES = 64
_START_S = 20.0
# What HEP has measured with DB12: Gaussian random numbers and their sums; its unit is 12.5 million of them in 250 seconds.
_UNIT_PER_S = 12_500_000 / 250
_PROGRAM = """
import random, sys, time
random.seed(1)
limit_s, done, total, squares = float(sys.argv[1]), 0, 0.0, 0.0
began = time.process_time()
while time.process_time() - began < limit_s:
    for _ in range(2000):
        value = random.normalvariate(10, 1)
        total += value
        squares += value * value
    done += 2000
print(done / (time.process_time() - began))
"""


def measure(processors: int, seconds: float) -> list[float]:
    """Numbers per second of processor time, of each process; all run at the same time."""
    count = min(processors, _MOST_PROCESSES)
    command = [sys.executable, "-I", "-c", _PROGRAM, str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    rates = []
    for process in running:
        with process, suppress(subprocess.TimeoutExpired, ValueError):
            try:
                rates.append(float(process.communicate(timeout=_START_S + 3 * seconds)[0]))
            finally:
                process.kill()
    return rates


def judge(rates: Sequence[float]) -> dict[str, Any]:
    """The benchmark's result: the median process, in units like DB12's."""
    return {"processes": len(rates), "db12": round(statistics.median(rates) / _UNIT_PER_S, 2)}


def run(pilot: Pilot) -> None:
    if not pilot.config.benchmark_s:
        return
    processors = pilot.config.processors or pilot.facts.get("node", {}).get("processors", 1)
    rates = measure(processors, pilot.config.benchmark_s)
    if not rates:
        raise Stop("the benchmark gave no number")
    result = judge(rates)
    left_s = pilot.seconds_left()
    pilot.facts["benchmark"] = {**result, "left_s": int(left_s)} if left_s is not None else result
    pilot.resource["PilotBenchmark"] = result["db12"]
