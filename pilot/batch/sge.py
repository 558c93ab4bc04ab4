"""Grid Engine: `qstat -j`, and `qconf -sq` for what the queue allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional

from pilot.batch.units import left, megabytes, said, seconds, whole
from pilot.probe import said as answer

NAME = "GE"


def here(environment: Mapping[str, str]) -> str:
    # PBS sets JOB_ID nowhere, but other things may: Grid Engine alone names its own folders too
    return environment.get("JOB_ID", "") if "SGE_TASK_ID" in environment or "SGE_ROOT" in environment else ""


def measure(environment: Mapping[str, str]) -> dict[str, str]:
    queue = environment.get("QUEUE", "")
    return {
        "job": answer(["qstat", "-j", here(environment)]),
        "queue": answer(["qconf", "-sq", queue]) if queue else "",
    }


def parse(texts: Mapping[str, str], environment: Mapping[str, str], now_s: float) -> dict[str, Any]:
    text = texts.get("job", "")
    asked = _pairs(_line(text, "hard resource_list"))
    used = _pairs(_line(text, f"usage {environment.get('SGE_TASK_ID', '1')}") or _line(text, "usage 1"))
    allowed: dict[str, str] = dict(re.findall(r"^(h_rt|h_cpu|s_rt|s_cpu|h_vmem)\s+(\S+)", texts.get("queue", ""), re.MULTILINE))
    wall_limit_s, cpu_limit_s = _limit(asked, allowed, "rt"), _limit(asked, allowed, "cpu")
    processors = whole(environment.get("NSLOTS", "")) or 1
    memory_mb = megabytes(asked.get("h_vmem", allowed.get("h_vmem", "")))
    used_s = seconds(used.get("wallclock", "").split(".")[0])
    return said(
        queue=environment.get("QUEUE"),
        processors=processors,
        memory_mb=memory_mb and memory_mb * processors,  # it counts for each slot
        wall_limit_s=wall_limit_s,
        wall_left_s=left(wall_limit_s, used_s),
        cpu_limit_s=cpu_limit_s,
        cpu_left_s=left(cpu_limit_s, seconds(used.get("cpu", "").split(".")[0])),
    )


def _limit(asked: Mapping[str, str], allowed: Mapping[str, str], what: str) -> Optional[int]:
    """The nearest end: what was asked for, or what the queue allows, by its soft or its hard limit."""
    found = (seconds(told.get(f"{kind}_{what}", "")) for told in (asked, allowed) for kind in ("s", "h"))
    return min((limit_s for limit_s in found if limit_s is not None), default=None)


def _line(text: str, name: str) -> str:
    found = re.search(rf"^{name}:?\s+(?:\d+:\s+)?(.*)$".replace(" ", r"\s+", 1), text, re.MULTILINE)
    return found[1] if found else ""


def _pairs(line: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (part.partition("=") for part in line.split(",")) if value}
