"""LSF and OpenLava: `bjobs -l`, and `bqueues -l` for what the queue allows."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Optional

from pilot.batch.units import left, said, whole
from pilot.probe import said as answer

NAME = "LSF"
_LIMIT = r"^\s*{}\s*\n\s*([0-9.]+) min"
_STARTED = re.compile(r"^\w{3} (\w{3}\s+\d+ \d\d:\d\d:\d\d)(?: \d{4})?: (?:\[\d+\] )?(?:S|s)tarted", re.MULTILINE)
_USED = re.compile(r"CPU time used is\s+([0-9.]+)\s+seconds")


def here(environment: Mapping[str, str]) -> str:
    return environment.get("LSB_JOBID", "")


def measure(environment: Mapping[str, str]) -> dict[str, str]:
    queue = environment.get("LSB_QUEUE", "")
    return {
        "job": answer(["bjobs", "-l", here(environment)]),
        "queue": answer(["bqueues", "-l", queue]) if queue else "",
    }


def parse(texts: Mapping[str, str], environment: Mapping[str, str], now_s: float) -> dict[str, Any]:
    # what is too long for a line goes on in the next, after 21 spaces
    job, queue = (re.sub(r"\n {21}", "", texts.get(name, "")) for name in ("job", "queue"))
    wall_limit_s, cpu_limit_s = (_limit(name, job, queue) for name in ("RUNLIMIT", "CPULIMIT"))
    used = _USED.search(job)
    return said(
        queue=environment.get("LSB_QUEUE"),
        processors=_processors(environment),
        wall_limit_s=wall_limit_s,
        wall_left_s=left(wall_limit_s, _running_s(job, now_s)),
        cpu_limit_s=cpu_limit_s,
        cpu_left_s=left(cpu_limit_s, int(float(used[1])) if used else None),
    )


def _limit(name: str, *texts: str) -> Optional[int]:
    """The nearest end in minutes, of the job's own and the queue's, as seconds. The queue's last one is its largest."""
    pattern = re.compile(_LIMIT.format(name), re.MULTILINE)
    found = [float(hits[-1]) * 60 for hits in map(pattern.findall, texts) if hits]
    return int(min(found)) if found else None


def _running_s(job: str, now_s: float) -> Optional[int]:
    started = _STARTED.search(job)
    if not started:
        return None
    now = time.localtime(now_s)
    # the year is not told: the one that puts the start into the last twelve months
    for year in (now.tm_year, now.tm_year - 1):
        try:
            moment = time.mktime(time.strptime(f"{year} {started[1]}", "%Y %b %d %H:%M:%S"))
        except ValueError:
            continue
        if moment <= now_s + 86_400:
            return max(0, int(now_s - moment))
    return None


def _processors(environment: Mapping[str, str]) -> Any:
    """Slots on this host: LSB_MCPU_HOSTS is host, slots, host, slots; the first host is where the job's script runs."""
    words = environment.get("LSB_MCPU_HOSTS", "").split()
    return whole(words[1]) if len(words) > 1 else whole(environment.get("LSB_DJOB_NUMPROC", ""))
