"""HTCondor: the ads of the job and of the machine, which it leaves beside the job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from pilot.batch.units import said, whole
from pilot.probe import text_of

NAME = "HTCondor"
_ATTRIBUTE = re.compile(r'^(\w+)\s*=\s*(?:"(.*)"|(\S.*?))\s*$', re.MULTILINE)


def here(environment: Mapping[str, str]) -> str:
    if "_CONDOR_JOB_AD" not in environment and "_CONDOR_SCRATCH_DIR" not in environment:
        return ""
    return environment.get("_CONDOR_JOB_ID") or environment.get("_CONDOR_SLOT") or "unknown"


def measure(environment: Mapping[str, str]) -> dict[str, str]:
    scratch = Path(environment.get("_CONDOR_SCRATCH_DIR", "/nowhere"))
    return {
        "job": text_of(Path(environment.get("_CONDOR_JOB_AD", scratch / ".job.ad"))),
        "machine": text_of(Path(environment.get("_CONDOR_MACHINE_AD", scratch / ".machine.ad"))),
    }


def parse(texts: Mapping[str, str], environment: Mapping[str, str], now_s: float) -> dict[str, Any]:
    job, machine = (_ad(texts.get(name, "")) for name in ("job", "machine"))
    ends = _ends(job, machine)
    assigned = [one for one in job.get("AssignedGPUs", machine.get("AssignedGPUs", "")).split(",") if one.strip()]
    return said(
        queue=job.get("AccountingGroup") or job.get("AcctGroup"),
        processors=whole(machine.get("Cpus", "")) or whole(job.get("CpusProvisioned", job.get("RequestCpus", ""))),
        memory_mb=whole(machine.get("Memory", "")) or whole(job.get("MemoryProvisioned", job.get("RequestMemory", ""))),
        gpus=whole(machine["GPUs"]) if machine.get("GPUs") else len(assigned) or None,
        wall_left_s=max(0, int(min(ends) - now_s)) if ends else None,
    )


def _ends(job: Mapping[str, str], machine: Mapping[str, str]) -> list[float]:
    """The moments at which somebody will end the job: its own limits, its site's, its machine's."""
    started = _number(job, "JobCurrentStartExecutingDate") or _number(job, "JobCurrentStartDate") or _number(job, "JobStartDate")
    ends = []
    if started is not None:
        limits = (("AllowedExecuteDuration", 1), ("AllowedJobDuration", 1), ("MaxRuntime", 1), ("MaxWallTime", 60))
        ends = [started + limit * unit for name, unit in limits if (limit := _number(job, name)) is not None]
    moment = _number(machine, "GLIDEIN_ToDie")
    return ends if moment is None else [*ends, moment]


def _number(ad: Mapping[str, str], name: str) -> Optional[float]:
    try:
        return float(ad[name])
    except (KeyError, ValueError):
        return None  # an expression is nothing that can be counted on here


def _ad(text: str) -> dict[str, str]:
    return {name: quoted or plain for name, quoted, plain in _ATTRIBUTE.findall(text)}
