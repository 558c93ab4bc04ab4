"""Slurm: `scontrol show job`, else `squeue`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pilot.batch.units import left, megabytes, said, seconds, whole
from pilot.probe import said as answer

NAME = "SLURM"
_FIELD = re.compile(r"(?:^|\s)([A-Za-z/:]+)=(\S*)")


def here(environment: Mapping[str, str]) -> str:
    return environment.get("SLURM_JOB_ID") or environment.get("SLURM_JOBID", "")


def measure(environment: Mapping[str, str]) -> dict[str, str]:
    job = here(environment)
    return {
        "job": answer(["scontrol", "show", "job", job, "-o"]),
        "left": answer(["squeue", "-h", "-j", job, "-o", "%L"]),
    }


def parse(texts: Mapping[str, str], environment: Mapping[str, str], now_s: float) -> dict[str, Any]:
    fields: dict[str, str] = dict(_FIELD.findall(texts.get("job", "")))
    resources = dict(part.partition("=")[::2] for part in fields.get("TRES", fields.get("AllocTRES", "")).split(","))
    limit_s = seconds(fields.get("TimeLimit", ""))
    wall_left_s = left(limit_s, seconds(fields.get("RunTime", "")))
    if wall_left_s is None:
        first = texts.get("left", "").split()
        wall_left_s = seconds(first[0]) if first else None
    return said(
        queue=fields.get("Partition") or environment.get("SLURM_JOB_PARTITION"),
        processors=whole(environment.get("SLURM_CPUS_ON_NODE", "")),
        memory_mb=_memory(environment, resources),
        gpus=_gpus(environment),
        # one node alone: of several, this pilot is on one
        whole_node=True if fields.get("OverSubscribe", fields.get("Shared")) == "NO" else None,
        wall_limit_s=limit_s,
        wall_left_s=wall_left_s,
    )


def _memory(environment: Mapping[str, str], resources: Mapping[str, str]) -> Any:
    per_node = whole(environment.get("SLURM_MEM_PER_NODE", ""))
    per_processor = whole(environment.get("SLURM_MEM_PER_CPU", ""))
    processors = whole(environment.get("SLURM_CPUS_ON_NODE", ""))
    if per_node:
        return per_node
    if per_processor and processors:
        return per_processor * processors
    alone = whole(environment.get("SLURM_JOB_NUM_NODES", "1")) == 1
    return megabytes(resources.get("mem", ""), "m") if alone else None


def _gpus(environment: Mapping[str, str]) -> Any:
    if count := whole(environment.get("SLURM_GPUS_ON_NODE", "")):
        return count
    listed = environment.get("SLURM_JOB_GPUS") or environment.get("SLURM_STEP_GPUS", "")
    return len([one for one in listed.split(",") if one]) or None
